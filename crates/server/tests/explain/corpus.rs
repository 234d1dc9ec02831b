//! Messages that others have written, where the corpus lies beside the repository.

use std::path::Path;

use strowger_testkit::{Plan, Site};

#[test]
fn messages_of_others_are_explained_as_they_are_treated() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let mut files = Vec::new();
    for part in ["torture", "sip-msg"] {
        collect(&corpus.join(part), &mut files);
    }
    files.sort();
    let mut site = Site::of(Plan {
        domains: &["example.com", "biloxi.com", "atlanta.com"],
        ..Plan::default()
    });
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let what = file.display().to_string();
        let explained = site.explain('a', &bytes, false, "");
        site.send_as('a', &bytes, false);
        site.resolve_by("");
        let sent: Vec<_> = site
            .new_messages()
            .into_iter()
            .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        let told: Vec<_> = explained.sent.iter().map(|sent| sent.text.clone()).collect();
        assert_eq!(told, sent, "{what}");
    }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
