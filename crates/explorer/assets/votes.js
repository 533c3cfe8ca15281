// Bit lists of voters, as the API writes them: hex of their SSZ, whose last set bit marks the length.

/** The set positions of a bit list, and how many it has in all. */
export function voters(hex) {
  const bytes = hex.slice(2).match(/../g).map((pair) => parseInt(pair, 16));
  const last = bytes[bytes.length - 1];
  const length = (bytes.length - 1) * 8 + (31 - Math.clz32(last));
  const set = [];
  for (let index = 0; index < length; index += 1) {
    if ((bytes[index >> 3] >> (index & 7)) & 1) set.push(index);
  }
  return { set, length };
}

/** Who of so many is not among them. */
export function absent(set, count) {
  const here = new Set(set);
  return Array.from({ length: count }, (_, index) => index).filter((index) => !here.has(index));
}

/** Indices as text: runs as `3–7`, and at most so many of them. */
export function runs(indices, max = 40) {
  const texts = [];
  for (let at = 0; at < indices.length; ) {
    let end = at;
    while (indices[end + 1] === indices[end] + 1) end += 1;
    texts.push(end > at + 1 ? `${indices[at]}–${indices[end]}` : indices.slice(at, end + 1).join(", "));
    at = end + 1;
  }
  const more = texts.length - max;
  return texts.slice(0, max).join(", ") + (more > 0 ? `, and ${more} more runs` : "");
}
