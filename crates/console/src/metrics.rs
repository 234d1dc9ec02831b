//! The figures in the text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use strowger_server::admin::{Family, Kind};

/// Writes all families. Writing to a String cannot fail, so results are dropped.
pub(crate) fn exposition(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(
            text,
            "# HELP {} {help}\n# TYPE {} {kind}",
            family.name, family.name
        );
        for sample in &family.samples {
            text.push_str(family.name);
            for (position, (name, value)) in sample.labels.iter().enumerate() {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                let opening = if position == 0 { '{' } else { ',' };
                let _ = write!(text, "{opening}{name}=\"{value}\"");
            }
            if !sample.labels.is_empty() {
                text.push('}');
            }
            let _ = writeln!(text, " {}", sample.value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use strowger_server::admin::Sample;

    use super::*;

    #[test]
    fn families_are_written_with_help_type_and_escaped_labels() {
        let family = Family {
            name: "strowger_requests_total",
            help: "Requests\nreceived.",
            kind: Kind::Counter,
            samples: vec![
                Sample {
                    labels: vec![("method", "IN\"V\\\n".to_owned()), ("shard", "0".to_owned())],
                    value: 12.0,
                },
                Sample {
                    labels: Vec::new(),
                    value: 0.5,
                },
            ],
        };
        assert_eq!(
            exposition(&[family]),
            "# HELP strowger_requests_total Requests\\nreceived.\n# TYPE strowger_requests_total counter\n\
             strowger_requests_total{method=\"IN\\\"V\\\\\\n\",shard=\"0\"} 12\nstrowger_requests_total 0.5\n"
        );
    }

    #[test]
    fn large_counters_are_written_in_full() {
        let family = Family::single("x_total", "X.", Kind::Counter, 9_007_199_254_740_991.0);
        assert!(exposition(&[family]).ends_with("x_total 9007199254740991\n"));
    }
}
