//! `announce-self`: the NIC's address is told to the switches of the network, several times, with growing pauses.

use southbridge_core::host::{HostCx, HostEvent};
use std::time::Duration;

use super::Netdev;
use crate::front::NetEvent;
use crate::packet::Packet;

/// How often, and with which pauses. The defaults are QEMU's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// First pause in milliseconds.
    pub initial: u64,
    /// Longest pause.
    pub max: u64,
    /// How many frames in all.
    pub rounds: u64,
    /// How much each pause is longer than the one before.
    pub step: u64,
}

impl Default for Announce {
    fn default() -> Self {
        Self {
            initial: 50,
            max: 550,
            rounds: 5,
            step: 100,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    parameters: Announce,
    done: u64,
}

/// The one token that is neither the link's nor a filter's.
const TOKEN: u64 = super::filters::FILTERS - 1;

impl Netdev {
    /// Begins to announce the NIC in front. One that goes on already begins anew.
    pub fn announce(&mut self, parameters: Announce, host: &mut HostCx<'_>) {
        host.cancel_wake(TOKEN);
        self.announcing = State { parameters, done: 0 };
        self.announce_once(host);
    }

    pub(super) fn announce_event(&mut self, event: HostEvent, host: &mut HostCx<'_>) -> bool {
        let ours = event == HostEvent::WakeUp { token: TOKEN };
        if ours {
            self.announce_once(host);
        }
        ours
    }

    fn announce_once(&mut self, host: &mut HostCx<'_>) {
        let (p, done) = (self.announcing.parameters, self.announcing.done);
        let Some(mac) = self.nic_mac().filter(|_| done < p.rounds) else {
            return;
        };
        self.announcing.done += 1;
        if !self.link_down {
            self.pass_to_link(0, Packet::plain(&rarp(mac)), host);
            self.settle(host);
        }
        if let Some(Some(f)) = self.fronts.first() {
            f.post(NetEvent::Announce, host);
        }
        if done + 1 < p.rounds {
            let pause = p.initial.saturating_add(done.saturating_mul(p.step)).min(p.max);
            host.wake_after(Duration::from_millis(pause), TOKEN);
        }
    }
}

/// A request for one's own address, to everybody (RFC 903).
fn rarp(mac: [u8; 6]) -> Vec<u8> {
    let mut f = vec![0xff; 6];
    f.extend(mac);
    f.extend([0x80, 0x35]);
    // Hardware Ethernet, protocol IPv4, lengths of both addresses, request reverse.
    f.extend([0, 1, 8, 0, 6, 4, 0, 3]);
    for _ in 0..2 {
        f.extend(mac);
        f.extend([0; 4]);
    }
    f.resize(60, 0);
    f
}
