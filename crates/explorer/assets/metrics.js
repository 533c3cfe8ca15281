// Prometheus' text: series by name.

/** Every series as `{name, labels, value}`; labels as they are written. */
export function parse(text) {
  const series = [];
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)$/.exec(line);
    if (found) series.push({ name: found[1], labels: found[2] ?? "", value: Number(found[3]) });
  }
  return series;
}

/** The value of a series, undefined if there is none. */
export function value(series, name, labels = "") {
  return series.find((one) => one.name === name && one.labels === labels)?.value;
}

/** What each series is, in the words of the node. */
export function helps(text) {
  return new Map([...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name, help]));
}

/** Commits so far, and the seconds that they took. */
export function commits(series) {
  const name = "lean_storage_commit_seconds";
  const phases = series.filter((one) => one.name === `${name}_sum`);
  const count = value(series, `${name}_count`, 'phase="commit"') ?? 0;
  return { count, seconds: phases.reduce((sum, one) => sum + one.value, 0) };
}
