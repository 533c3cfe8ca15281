//! `api.txt` is the public API, line by line: what changes it is seen in a review.

use std::{fs, path::Path};

use syn::{Fields, ImplItem, Item, Visibility};

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn text(tokens: &impl quote::ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (spaced, tight) in [
        (" :: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" :", ":"),
        ("( ", "("),
        (" )", ")"),
        (" (", "("),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

fn fields(name: &str, of: &Fields, lines: &mut Vec<String>, all: bool) {
    for (position, field) in of.iter().enumerate() {
        if all || is_public(&field.vis) {
            let field_name = field.ident.as_ref().map_or(position.to_string(), ToString::to_string);
            lines.push(format!("{name}.{field_name}: {}", text(&field.ty)));
        }
    }
}

fn describe(item: &Item, lines: &mut Vec<String>) {
    match item {
        Item::Struct(item) if is_public(&item.vis) => {
            lines.push(format!("struct {}{}", item.ident, text(&item.generics)));
            fields(&item.ident.to_string(), &item.fields, lines, false);
        }
        Item::Enum(item) if is_public(&item.vis) => {
            let name = &item.ident;
            let open =
                item.attrs.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
            let note = if open { " (may grow)" } else { "" };
            lines.push(format!("enum {name}{}{note}", text(&item.generics)));
            for variant in &item.variants {
                lines.push(format!("{name}::{}", variant.ident));
                fields(&format!("{name}::{}", variant.ident), &variant.fields, lines, true);
            }
        }
        Item::Type(item) if is_public(&item.vis) => {
            lines.push(format!("type {} = {}", item.ident, text(&item.ty)));
        }
        Item::Impl(item) if item.trait_.is_none() => {
            for method in &item.items {
                let ImplItem::Fn(method) = method else { continue };
                if is_public(&method.vis) {
                    lines.push(format!("{}: {}", text(&item.self_ty), text(&method.sig)));
                }
            }
        }
        // What a caller's `?` can rest on, and what others' types come in by.
        Item::Impl(item) => {
            if let Some((_, of, _)) = &item.trait_ {
                lines.push(format!("impl {} for {}", text(of), text(&item.self_ty)));
            }
        }
        Item::Use(item) if is_public(&item.vis) => {
            lines.push(format!("pub use {}", text(&item.tree)));
        }
        _ => {}
    }
}

#[test]
fn the_public_api_is_the_one_in_api_txt() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lines = Vec::new();
    for module in ["lib", "answer", "error", "reader", "store"] {
        let source =
            fs::read_to_string(root.join("src").join(module).with_extension("rs")).unwrap();
        for item in syn::parse_file(&source).unwrap().items {
            describe(&item, &mut lines);
        }
    }
    lines.sort();
    let now = lines.join("\n") + "\n";
    let kept = fs::read_to_string(root.join("api.txt")).unwrap_or_default();
    if now != kept {
        let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api.txt");
        fs::write(&found, now).unwrap();
        panic!(
            "the API is another than api.txt says; if that is meant: cp {} {}",
            found.display(),
            root.display()
        );
    }
}
