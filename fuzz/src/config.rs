//! Configuration files.

use strowger_server::config::{Place, check as read, effective, reference};

/// The reference whole and in sections; what a message says means nothing here.
pub fn seeds(_: &[u8]) -> Vec<Vec<u8>> {
    let reference = reference();
    let live = reference
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line));
    let live = live.collect::<Vec<_>>().join("\n");
    let texts = [&reference, &live];
    let sections = texts.iter().flat_map(|text| text.split("\n\n"));
    let whole = texts.iter().map(|text| text.as_bytes().to_vec());
    whole
        .chain(sections.map(|section| section.as_bytes().to_vec()))
        .collect()
}

/// Every error has a place in the file and says what to do, and what has none can be put to use.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match read(text, "f") {
        Ok(config) => {
            let _ = (
                effective::listeners(&config),
                effective::admin(&config),
                effective::digest(&config),
            );
            assert!(effective::shards(&config, 4) > 0);
            assert_eq!(read(text, "g").as_ref(), Ok(&config));
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                let Place::File { file, line, column } = &error.place else {
                    panic!("{error}");
                };
                let lines: Vec<_> = text.split('\n').collect();
                assert!(
                    file == "f" && (1..=lines.len() as u32 + 1).contains(line),
                    "{error}"
                );
                let length = lines
                    .get(*line as usize - 1)
                    .map_or(0, |line| line.chars().count());
                assert!((1..=length as u32 + 1).contains(column), "{error}: {length}");
                assert!(!error.what.is_empty() && !error.mend.is_empty(), "{error}");
            }
        }
    }
}
