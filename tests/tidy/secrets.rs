//! Secrets are held by the type that shows nothing.

use crate::files;

#[test]
fn passwords_and_keys_are_held_as_secrets() {
    let names = ["password", "secret", "secret_key", "api_key"];
    let types = [
        "String",
        "Option<String>",
        "&str",
        "&'static str",
        "Option<&str>",
        "Box<str>",
        "Arc<str>",
    ];
    files::expect_none(files::core().flat_map(|file| {
        file.code_without_tests()
            .filter(|(_, line)| {
                let field = line
                    .trim()
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub ");
                field.split_once(": ").is_some_and(|(name, kind)| {
                    names.contains(&name) && types.contains(&kind.trim_end_matches(','))
                })
            })
            .map(|(number, _)| file.at(number, "use `Secret`: its Debug and Display show nothing"))
    }));
}
