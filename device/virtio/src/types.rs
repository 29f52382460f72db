//! The user-visible types of a device model: `virtio-X-pci` and its brothers, made from one table by [`crate::virtio_types!`].

use southbridge_bus_virtio::VirtioModel;
use southbridge_bus_virtio::spec::feature;
use southbridge_core::{Build, BusDecl, BusKind, Category, CreateError, DeviceType, PropKind, Properties, Property};

/// What the transports need to know of a model before there is one.
pub struct ModelType {
    /// PCI base class and sub-class.
    pub class: u16,
    /// There is an interface of before version 1.
    pub legacy: bool,
    /// MSI-X vectors for a device with this many queues, where the user does not say.
    pub vectors: fn(queues: u16) -> u16,
    /// Makes the model.
    pub create: CreateModel,
}

/// Makes a model from the properties that the user gave.
pub type CreateModel = fn(&Properties, &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError>;

/// How a PCI type is spelled: what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// `virtio-X-pci`: as properties and the slot say.
    Any,
    /// `-transitional`: both interfaces.
    Transitional,
    /// `-non-transitional`: version 1 alone.
    Modern,
}

pub(crate) const fn property(
    name: &'static str,
    kind: PropKind,
    default: Option<&'static str>,
    help: &'static str,
) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

pub(crate) const fn flag(name: &'static str, default: bool, help: &'static str) -> Property {
    property(name, PropKind::Bool, Some(if default { "on" } else { "off" }), help)
}

/// Properties of rings: what every virtio device has, on every transport.
pub const RINGS: [Property; 12] = [
    flag("indirect_desc", true, "tables of descriptors outside the ring"),
    flag("event_idx", true, "both sides say when they want to be notified"),
    flag(
        "notify_on_empty",
        true,
        "legacy: an interrupt whenever the ring runs empty",
    ),
    flag("any_layout", true, "legacy: buffers may be divided in any way"),
    flag("iommu_platform", false, "addresses go through the platform's IOMMU"),
    flag("packed", false, "offer packed rings"),
    flag("queue_reset", true, "single queues can be reset"),
    flag("in_order", false, "buffers are used in the order in which they came"),
    flag(
        "notification_data",
        false,
        "notifications carry where the ring stands; not QEMU\'s",
    ),
    flag(
        "use-started",
        true,
        "accepted for QEMU's sake: a matter of its migration format",
    ),
    flag(
        "use-disabled-flag",
        true,
        "accepted for QEMU's sake: a matter of its migration format",
    ),
    flag(
        "x-disable-legacy-check",
        false,
        "let a device without a legacy interface have one all the same",
    ),
];

/// Feature bits that [`RINGS`] ask for.
pub fn ring_features(p: &Properties) -> u64 {
    let bits = [
        ("indirect_desc", feature::INDIRECT_DESC),
        ("event_idx", feature::EVENT_IDX),
        ("notify_on_empty", feature::NOTIFY_ON_EMPTY),
        ("any_layout", feature::ANY_LAYOUT),
        ("iommu_platform", feature::ACCESS_PLATFORM),
        ("packed", feature::RING_PACKED),
        ("queue_reset", feature::RING_RESET),
        ("in_order", feature::IN_ORDER),
        ("notification_data", feature::NOTIFICATION_DATA),
    ];
    bits.iter().filter(|(name, _)| p.bool(name)).fold(0, |all, b| all | b.1)
}

/// `ioeventfd`, of models that have it on PCI.
pub const IOEVENTFD: Property = flag(
    "ioeventfd",
    true,
    "accepted for QEMU's sake: notifications are handled where they come",
);

/// Number of properties in several lists.
pub const fn count(lists: &[&[Property]]) -> usize {
    let (mut n, mut i) = (0, 0);
    while i < lists.len() {
        n += lists[i].len();
        i += 1;
    }
    n
}

/// Several lists of properties as one.
pub const fn join<const N: usize>(lists: &[&[Property]]) -> [Property; N] {
    let mut all = [RINGS[0]; N];
    let (mut n, mut i) = (0, 0);
    while i < lists.len() {
        let mut k = 0;
        while k < lists[i].len() {
            all[n] = lists[i][k];
            n += 1;
            k += 1;
        }
        i += 1;
    }
    all
}

/// What [`crate::virtio_types!`] fills in.
pub const fn pci_type(name: &'static str, category: Category, summary: &'static str) -> DeviceType {
    DeviceType {
        name,
        bus: BusKind::Pci,
        category,
        summary,
        user_creatable: true,
        regions: crate::pci::REGIONS,
        lines: crate::pci::LINES,
        roles: crate::pci::ROLES,
        ..DeviceType::BASE
    }
}

/// The same for `virtio-X-device`.
pub const fn bus_type(name: &'static str, category: Category, summary: &'static str) -> DeviceType {
    DeviceType {
        name,
        bus: BusKind::Virtio,
        category,
        summary,
        user_creatable: true,
        lines: crate::mmio::LINES,
        roles: crate::mmio::ROLES,
        ..DeviceType::BASE
    }
}

/// No buses of its own.
pub const NO_BUSES: &[BusDecl] = &[];

/// Declares the types of a model:
/// ```text
/// virtio_types! {
///     /// What the user sees.
///     pub static TYPES = "virtio-rng", [pci, transitional, non_transitional, device] {
///         category: Category::Misc,
///         summary: "Entropy source",
///         model: ModelType { class: 0x00ff, legacy: true, vectors: |_| 2, create: Rng::create },
///         vectors: "4294967295",          // the default as -device help shows it; 4294967295 is "ModelType::vectors says"
///         properties: [max-bytes …],      // on every transport
///         pci: [IOEVENTFD],               // on PCI alone
///         buses: NO_BUSES,                // buses that the model offers
///     }
/// }
/// ```
/// and `lib.rs` has one line: `TYPES.iter().for_each(|t| r.add(t))`.
#[macro_export]
macro_rules! virtio_types {
    ($(#[$doc:meta])* pub static $types:ident = $name:literal, [$($kind:ident),+ $(,)?] {
        category: $category:expr,
        summary: $summary:expr,
        model: $model:expr,
        vectors: $vectors:literal,
        properties: [$($own:expr),* $(,)?],
        pci: [$($pci:expr),* $(,)?],
        buses: $buses:expr $(,)?
    }) => {
        $(#[$doc])*
        pub static $types: &[&::southbridge_core::DeviceType] = {
            use $crate::types::{count, join};
            static MODEL: $crate::types::ModelType = $model;
            const OWN: &[::southbridge_core::Property] = &[$($own),*];
            const PCI_OWN: &[::southbridge_core::Property] = &[$($pci,)* $crate::pci::properties::vectors($vectors)];
            const CATEGORY: ::southbridge_core::Category = $category;
            const SUMMARY: &str = $summary;
            const BUSES: &[::southbridge_core::BusDecl] = $buses;
            &[$($crate::virtio_types!(@one $kind $name)),+]
        };
    };
    (@one pci $name:literal) => {
        $crate::virtio_types!(@pci $name, "-pci", Any, [&$crate::pci::properties::CHOICE])
    };
    (@one transitional $name:literal) => {
        $crate::virtio_types!(@pci $name, "-pci-transitional", Transitional, [])
    };
    (@one non_transitional $name:literal) => {
        $crate::virtio_types!(@pci $name, "-pci-non-transitional", Modern, [])
    };
    (@pci $name:literal, $suffix:literal, $flavor:ident, [$($more:expr),*]) => {{
        const LISTS: &[&[::southbridge_core::Property]] = &[
            OWN, PCI_OWN, $($more,)* &$crate::pci::properties::COMMON, &$crate::types::RINGS,
            &::southbridge_bus_pci::common::PROPERTIES,
        ];
        const ALL: [::southbridge_core::Property; count(LISTS)] = join(LISTS);
        static TYPE: ::southbridge_core::DeviceType = ::southbridge_core::DeviceType {
            properties: &ALL,
            buses: BUSES,
            create: |p, b| $crate::pci::create(&MODEL, $crate::types::Flavor::$flavor, p, b),
            ..$crate::types::pci_type(concat!($name, $suffix), CATEGORY, SUMMARY)
        };
        &TYPE
    }};
    (@one device $name:literal) => {{
        const LISTS: &[&[::southbridge_core::Property]] = &[OWN, &$crate::types::RINGS];
        const ALL: [::southbridge_core::Property; count(LISTS)] = join(LISTS);
        static TYPE: ::southbridge_core::DeviceType = ::southbridge_core::DeviceType {
            properties: &ALL,
            buses: BUSES,
            create: |p, b| $crate::mmio::create(&MODEL, p, b),
            ..$crate::types::bus_type(concat!($name, "-device"), CATEGORY, SUMMARY)
        };
        &TYPE
    }};
}
