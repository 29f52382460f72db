//! NICs: which of those that the user asks for are on the board, and which address each has.

use southbridge_backend_net::{parse_mac, show_mac};
use southbridge_core::{BackendId, Category, DeviceType, PropKind, PropValue, Properties};
use std::collections::BTreeSet;

/// A NIC that the user asks for without saying where (`-nic`, `-net nic`).
#[derive(Debug, Clone, Default)]
pub struct NicWish {
    /// Type, or the board's own.
    pub model: Option<String>,
    /// Address, or the next free one.
    pub mac: Option<[u8; 6]>,
    /// Its back end.
    pub netdev: Option<(String, BackendId)>,
}

/// Whether a type is a NIC, with a cable to a back end.
pub fn is_nic(t: &DeviceType) -> bool {
    t.category == Category::Network && t.properties.iter().any(|p| p.kind == PropKind::Backend("netdev"))
}

/// Names of types that go by another name in options. QEMU's.
const ALIASES: &[(&str, &str)] = &[("stellaris", "stellaris_enet"), ("virtio", "virtio-net-pci")];

/// The type's own name for what an option calls it.
pub fn model_name(word: &str) -> &str {
    ALIASES.iter().find(|a| a.0 == word).map_or(word, |a| a.1)
}

/// For each NIC of a board the wish that it fulfils: the first one that wants its type or says nothing about it.
pub fn fulfil(wishes: &[NicWish], on_board: &[&'static DeviceType]) -> Vec<Option<usize>> {
    let mut taken = vec![false; wishes.len()];
    let mut fits = |t: &DeviceType| {
        let wants = |w: &NicWish| w.model.as_deref().is_none_or(|m| model_name(m) == t.name);
        let found = (0..wishes.len()).find(|i| !taken[*i] && wants(&wishes[*i]))?;
        taken[found] = true;
        Some(found)
    };
    on_board.iter().map(|t| fits(t)).collect()
}

/// First of the addresses that NICs have of which nobody said one.
const FIRST: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// The addresses of a machine's NICs.
#[derive(Debug, Clone, Default)]
pub struct Macs(BTreeSet<[u8; 6]>);

impl Macs {
    /// Notes an address that somebody has, or gives the first one from 52:54:00:12:34:56 on that nobody has.
    pub fn take(&mut self, wanted: Option<[u8; 6]>) -> [u8; 6] {
        let mac = wanted.unwrap_or_else(|| {
            let [a, b, c, d, e, first] = FIRST;
            let mut all = (first..=0xff).map(|last| [a, b, c, d, e, last]);
            all.find(|m| !self.0.contains(m)).unwrap_or(FIRST)
        });
        self.0.insert(mac);
        mac
    }

    /// The NIC with that address is gone.
    pub fn free(&mut self, mac: [u8; 6]) {
        self.0.remove(&mac);
    }

    /// Gives a NIC its address, unless its properties say one.
    pub(crate) fn address(&mut self, t: &DeviceType, properties: &mut Properties) {
        if !is_nic(t) || !t.properties.iter().any(|p| p.name == "mac") {
            return;
        }
        match properties.str("mac") {
            // A word that is no address is the device's to refuse.
            Some(text) => drop(parse_mac(text).map(|m| self.take(Some(m)))),
            None => properties.set("mac", PropValue::Str(show_mac(self.take(None)))),
        }
    }
}

/// The wishes with an address each, and those of a board's NICs for which nobody has one.
pub(crate) fn addresses(macs: &mut Macs, wishes: &[NicWish]) -> Vec<[u8; 6]> {
    for mac in wishes.iter().filter_map(|w| w.mac) {
        macs.take(Some(mac));
    }
    wishes
        .iter()
        .map(|w| w.mac.unwrap_or_else(|| macs.take(None)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_count_up_past_those_that_are_taken() {
        let mut m = Macs::default();
        let at = |last| [0x52, 0x54, 0, 0x12, 0x34, last];
        assert_eq!(m.take(Some(at(0x57))), at(0x57));
        assert_eq!([m.take(None), m.take(None)], [at(0x56), at(0x58)]);
        m.free(at(0x56));
        assert_eq!(m.take(None), at(0x56));
    }

    #[test]
    fn wishes_are_fulfilled_in_order_and_by_type() {
        let r = crate::registry();
        let [lan, enet] = ["lan9118", "stellaris_enet"].map(|n| r.get(n).expect("a type"));
        let wish = |model: Option<&str>| NicWish {
            model: model.map(str::to_owned),
            ..NicWish::default()
        };
        let wishes = [wish(Some("stellaris")), wish(None), wish(None)];
        assert_eq!(fulfil(&wishes, &[lan]), [Some(1)]);
        assert_eq!(fulfil(&wishes, &[enet, enet]), [Some(0), Some(1)]);
        assert_eq!(fulfil(&[], &[lan]), [None]);
    }
}
