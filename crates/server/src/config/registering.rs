//! Who may register for whom: `visitors` and `third_parties` of `[location]`.

use super::diagnostic::{Complaint, Report};
use super::read::Item;
use super::schema::distinct;
use super::value::{Cidr, cidr};
use crate::admin::UserId;

/// A user who may register for others (RFC 3261 §10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThirdParty {
    /// Who.
    pub address: UserId,
    /// For whom.
    pub others: Others,
}

/// For whom somebody may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// Everybody of the same domain.
    All,
    /// These.
    These(Vec<UserId>),
}

impl ThirdParty {
    /// Whether it is this user, and may register for that one of the same domain.
    pub fn may(&self, user: &[u8], domain: &[u8], other: &[u8]) -> bool {
        let is_it =
            |id: &UserId, user: &[u8]| id.user().as_bytes() == user && id.domain().as_bytes() == domain;
        is_it(&self.address, user)
            && match &self.others {
                Others::All => true,
                Others::These(others) => others.iter().any(|id| is_it(id, other)),
            }
    }
}

/// Reads the networks that visitors come from.
pub(super) fn read_visitors(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<Vec<Cidr>> {
    let blocks = item.list(report, |item, report| item.parsed(cidr, report))?;
    Some(distinct(blocks, &item, report))
}

/// Reads who may register for whom.
pub(super) fn read_third_parties(item: Item<'_, '_>, report: &mut Report<'_>) -> Vec<ThirdParty> {
    let Some(table) = item.value.get_ref().as_table() else {
        let example = "{ \"assistant@example.test\" = [\"boss@example.test\"] }";
        item.wrong_type("a table", example, report);
        return Vec::new();
    };
    let mut parties = Vec::new();
    for (name, value) in table.iter() {
        let path = item.path;
        let address = user(name.get_ref()).map_err(|complaint| report.add(&name.span(), complaint));
        let others = Item { path, value }.list(report, |item, report| {
            if item.value.get_ref().as_str() == Some("*") {
                return Some(None);
            }
            let other = item.parsed(user, report)?;
            if let Ok(address) = &address
                && other.domain() != address.domain()
            {
                let what =
                    format!("`{other}` is of another domain than `{address}`, who has no password there");
                let mend = format!("name users of {}", address.domain());
                report.add(&item.span(), Complaint::new(what, mend));
            }
            Some(Some(other))
        });
        if let (Ok(address), Some(others)) = (address, others) {
            // One star is everybody.
            let others = others.into_iter().collect::<Option<Vec<_>>>();
            let others = others.map_or(Others::All, Others::These);
            parties.push(ThirdParty { address, others });
        }
    }
    parties
}

fn user(text: &str) -> Result<UserId, Complaint> {
    text.parse::<UserId>()
        .map_err(|malformed| Complaint::new(malformed.what, malformed.mend))
}
