//! Which frames a NIC takes, as `query-rx-filter` tells it.

/// How much of a class of frames passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passes {
    /// What is in the table.
    #[default]
    Normal,
    /// Nothing.
    None,
    /// All.
    All,
}

impl Passes {
    /// As the monitor spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::None => "none",
            Self::All => "all",
        }
    }
}

/// The receive filter of a NIC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RxFilter {
    /// All frames pass.
    pub promiscuous: bool,
    /// Multicast frames.
    pub multicast: Passes,
    /// Frames to single stations.
    pub unicast: Passes,
    /// Frames with VLAN tags.
    pub vlan: Passes,
    /// Frames to all stations.
    pub broadcast_allowed: bool,
    /// The table for multicast has overflowed.
    pub multicast_overflow: bool,
    /// The table for single stations has overflowed.
    pub unicast_overflow: bool,
    /// The device's own address.
    pub main_mac: [u8; 6],
    /// Tags that pass.
    pub vlan_table: Vec<u16>,
    /// Addresses that pass, besides the device's own.
    pub unicast_table: Vec<[u8; 6]>,
    /// Groups that pass.
    pub multicast_table: Vec<[u8; 6]>,
}
