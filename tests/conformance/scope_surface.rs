//! The public methods of the handle and its services, read from the sources, and which of them a test has tried.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use posada::Result;
use posada::error::codes;

/// The types whose methods a scope binds, and where they are written.
const BOUND: &[(&str, &str)] = &[
    ("Posada", "posada"),
    ("Posada", "posada.rs"),
    ("TenantResolver", "tenants"),
    ("SessionManager", "sessions"),
    ("FeatureFlags", "flags"),
    ("FlagSnapshot", "flags"),
    ("FlagWatch", "flags"),
    ("LockManager", "locks"),
    ("RateLimiter", "limits"),
    ("Authenticator", "auth"),
];

/// What a scope was asked, method by method.
#[derive(Default)]
pub(crate) struct Tried(BTreeSet<String>);

impl Tried {
    /// An attempt that must have been refused.
    pub(crate) fn refused<T>(&mut self, method: &str, outcome: Result<T>) {
        match outcome {
            Ok(_) => panic!("{method} did something about another tenant"),
            Err(error) => {
                assert!(error.is(codes::TENANTS_OUT_OF_SCOPE), "{method}: {error:?}");
                assert_eq!(error.context().count(), 0, "{method} names something: {error}");
            }
        }
        self.0.insert(method.to_owned());
    }

    /// An attempt that must not have told or done anything about another tenant.
    pub(crate) fn kept_apart(&mut self, method: &str, is_apart: bool) {
        assert!(is_apart, "{method} mixes tenants");
        self.0.insert(method.to_owned());
    }

    /// Methods that know of no tenant.
    pub(crate) fn without_tenants<const N: usize>(&mut self, methods: [&str; N]) {
        self.0.extend(methods.map(str::to_owned));
    }

    /// Fails for public methods that were not tried, and for tries of methods that do not exist.
    pub(crate) fn expect_all_tried(self) {
        let public = public_methods();
        assert!(public.len() > 70, "the sources were not found: {public:?}");
        let missing: Vec<_> = public.difference(&self.0).collect();
        assert!(
            missing.is_empty(),
            "say what a scope does with these, and document it at `Posada::for_tenant`: {missing:?}"
        );
        let gone: Vec<_> = self.0.difference(&public).collect();
        assert!(gone.is_empty(), "no such method: {gone:?}");
    }
}

fn public_methods() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut methods = BTreeSet::new();
    for (class, place) in BOUND {
        for file in rust_files(&sources.join(place)) {
            let text = std::fs::read_to_string(file).unwrap();
            for (name, _) in methods_of(class, &text) {
                methods.insert(format!("{class}.{name}"));
            }
        }
    }
    for file in rust_files(&sources.join("pms")) {
        let text = std::fs::read_to_string(file).unwrap();
        for (name, signature) in methods_of("PmsClient", &text) {
            // Everything else is that of the one system of the handle.
            if ["TenantId", "HoldProof", "Claims", "Session"]
                .iter()
                .any(|word| signature.contains(word))
            {
                methods.insert(format!("PmsClient.{name}"));
            }
        }
    }
    methods
}

fn rust_files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = std::fs::read_dir(place).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
        .collect()
}

/// The public methods in the `impl` blocks of a type, as rustfmt writes them, with their signatures.
fn methods_of(class: &str, text: &str) -> Vec<(String, String)> {
    let (begin, mut inside, mut found) = (format!("impl {class} {{"), false, Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with(' ') && !line.is_empty() {
            inside = line == begin;
        }
        let Some(rest) = line.strip_prefix("    pub ").filter(|_| inside) else {
            continue;
        };
        let mut signature = rest.to_owned();
        while !signature.ends_with('{') {
            signature.push_str(lines.next().unwrap());
        }
        if let Some((_, after)) = signature.split_once("fn ") {
            let name: String = after
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                .collect();
            found.push((name, signature));
        }
    }
    found
}

#[test]
fn public_methods_are_found_and_others_are_not() {
    let text = "impl Other {\n    pub fn no(&self) {\n    }\n}\n\n/// Doc.\nimpl Service {\n    pub(crate) fn no(&self) {\n    \
                }\n\n    pub async fn one<'t>(\n        &self,\n        tenant: &TenantId,\n    ) -> Result<()> {\n    }\n\n    \
                fn no(&self) {}\n\n    pub const fn two() -> u8 {\n        1\n    }\n}\n";
    let found = methods_of("Service", text);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(found[0].1.contains("TenantId"));
}
