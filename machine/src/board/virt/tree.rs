//! The device tree of `virt`, derived from its description: what stands there says what the tree says.
//!
//! Node names, `compatible` strings and the numbering of handles are those of QEMU 10, so that firmware and kernels that go by them find
//! what they look for. Bindings: Linux, `Documentation/devicetree/bindings`, by `compatible`.

use super::{Aia, MEIP, MSIP, MTIP, SEIP, SSIP, Variant, map};
use crate::board::cores::IsaText;
use crate::board::{Choices, Description, Part};
use crate::fdt::{Node, ranges, wide};

/// How a wire of the board is told: a level, active high.
const LEVEL_HIGH: u32 = 4;
pub(super) const CACHE_BLOCK: u32 = 64;
pub(super) const TIMEBASE: u32 = 10_000_000;
pub(super) const SERIAL_CLOCK: u32 = 3_686_400;

/// The tree for a description.
pub(super) fn tree(d: &Description, choices: &Choices, isa: &IsaText) -> Node {
    let v = Variant::of(choices);
    let mut handles = Handles::new(&v);
    let mut soc = Node::new("soc")
        .cell("#address-cells", 2)
        .cell("#size-cells", 2)
        .text("compatible", "simple-bus")
        .flag("ranges");
    let mut root = Node::new("")
        .cell("#address-cells", 2)
        .cell("#size-cells", 2)
        .text("compatible", "riscv-virtio")
        .text("model", "riscv-virtio,qemu")
        .child(Node::new("chosen").bytes("rng-seed", rng_seed(choices.seed)))
        .child(Node::new("aliases"))
        .child(cpus(choices, &handles, isa))
        .child(pmu());
    root.children.extend(memory(choices));
    for part in &d.parts {
        place(part, d, choices, &v, &mut handles, &mut root, &mut soc);
    }
    // Kernels number devices of one kind in the order of the tree, and the last slot is the first to be filled.
    soc.children.sort_by(|a, b| match (is_virtio(a), is_virtio(b)) {
        (true, true) => b.name.cmp(&a.name),
        (a, b) => a.cmp(&b),
    });
    root.child(platform_bus(&handles)).child(soc)
}

fn is_virtio(node: &Node) -> bool {
    node.name.starts_with("virtio_mmio@")
}

/// The node of one part; parts that software finds in other ways have none.
fn place(
    part: &Part,
    d: &Description,
    choices: &Choices,
    v: &Variant,
    handles: &mut Handles,
    root: &mut Node,
    soc: &mut Node,
) {
    let at = part.at.unwrap_or(0);
    let simple = |name: &str, compatible: &str, len: u64| {
        Node::new(format!("{name}@{at:x}"))
            .text("compatible", compatible)
            .reg(&[(at, len)])
    };
    match part.device {
        "riscv.aclint.mtimer" => soc.children.push(timer(at, v, handles)),
        "riscv.aclint.swi" if v.aclint => soc.children.push(software_interrupts(part, at, v, handles)),
        "riscv.sifive.plic" => soc.children.push(plic(at, v, handles)),
        "riscv.aplic" => soc.children.push(aplic(at, v, handles)),
        "riscv.imsic" if at == map::IMSIC_M || at == map::IMSIC_S => soc.children.push(imsic(at, v, handles)),
        "riscv.sifive.test" => {
            let handle = handles.next();
            let node =
                Node::new(format!("test@{at:x}")).texts("compatible", &["sifive,test1", "sifive,test0", "syscon"]);
            soc.children
                .push(node.reg(&[(at, map::TEST.1)]).cell("phandle", handle));
            root.children.push(syscon("reboot", handle, 0x7777));
            root.children.push(syscon("poweroff", handle, 0x5555));
        }
        "serial-mm" => {
            let node = simple("serial", "ns16550a", map::UART0.1).cell("clock-frequency", SERIAL_CLOCK);
            let path = format!("/soc/{}", node.name);
            soc.children.push(handles.interrupt(node, part));
            let text = [path.as_bytes(), b"\0"].concat();
            root.child_mut("chosen").set("stdout-path", text.clone());
            root.child_mut("aliases").set("serial0", text);
        }
        "goldfish_rtc" => {
            let node = simple("rtc", "google,goldfish-rtc", map::RTC.1);
            soc.children.push(handles.interrupt(node, part));
        }
        "virtio-mmio" => {
            let node = simple("virtio_mmio", "virtio,mmio", map::VIRTIO.1);
            soc.children.push(handles.interrupt(node, part));
        }
        "fw_cfg_mem" => {
            let node = Node::new(format!("fw-cfg@{:x}", map::FW_CFG.0)).text("compatible", "qemu,fw-cfg-mmio");
            root.children.push(node.reg(&[map::FW_CFG]).flag("dma-coherent"));
        }
        "cfi.pflash01" if at == map::FLASH.0 => root.children.push(flash(d)),
        "gpex-pcihost" => soc.children.push(pcie(choices, v, handles)),
        _ => {}
    }
}

fn flash(d: &Description) -> Node {
    let banks = d.parts.iter().filter(|p| p.device == "cfi.pflash01");
    let banks: Vec<_> = banks.filter_map(|p| Some((p.at?, map::FLASH.1))).collect();
    Node::new(format!("flash@{:x}", map::FLASH.0))
        .text("compatible", "cfi-flash")
        .reg(&banks)
        .cell("bank-width", 4)
}

fn syscon(name: &str, regmap: u32, value: u32) -> Node {
    Node::new(name)
        .text("compatible", &format!("syscon-{name}"))
        .cell("regmap", regmap)
        .cell("offset", 0)
        .cell("value", value)
}

/// Numbers by which nodes refer to each other.
struct Handles {
    /// Processors, by hart.
    cpu: Vec<u32>,
    /// Their interrupt inputs.
    intc: Vec<u32>,
    /// Interrupt files of machine and supervisor mode.
    imsic: [u32; 2],
    /// Interrupt controllers for wires: of machine mode, where there are two, and the one that devices refer to.
    aplic_m: u32,
    wired: u32,
    typed: bool,
    next: u32,
}

impl Handles {
    fn new(v: &Variant) -> Self {
        let harts = u32::from(v.harts);
        // The last hart has the first number.
        let cpu = |h: u32| 1 + 2 * (harts - 1 - h);
        let mut this = Self {
            cpu: (0..harts).map(cpu).collect(),
            intc: (0..harts).map(|h| cpu(h) + 1).collect(),
            imsic: [0; 2],
            aplic_m: 0,
            wired: 0,
            typed: v.aia != Aia::None,
            next: 2 * harts + 1,
        };
        if v.aia == Aia::Imsic {
            this.imsic = [this.next(), this.next()];
        }
        if v.aia != Aia::None {
            this.aplic_m = this.next();
        }
        this.wired = this.next();
        this
    }

    fn next(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// One cell pair or more for each hart.
    fn to_harts<const N: usize>(&self, inputs: [u32; N]) -> Vec<u32> {
        let pairs = |intc: &u32| inputs.into_iter().flat_map(|i| [*intc, i]).collect::<Vec<_>>();
        self.intc.iter().flat_map(pairs).collect()
    }

    /// The cells of an interrupt of the board.
    fn specifier(&self, irq: u16) -> Vec<u32> {
        let mut cells = vec![u32::from(irq)];
        cells.extend(self.typed.then_some(LEVEL_HIGH));
        cells
    }

    fn interrupt(&self, node: Node, part: &Part) -> Node {
        let numbers = part.irqs.iter().filter_map(|(_, _, irq)| match irq {
            crate::board::Irq::Line(n) => Some(self.specifier(*n)),
            crate::board::Irq::Nmi => None,
        });
        node.cell("interrupt-parent", self.wired)
            .cells("interrupts", numbers.flatten().collect::<Vec<_>>())
    }
}

fn with_node(mut node: Node, id: Option<usize>) -> Node {
    if let Some(id) = id {
        node = node.cell("numa-node-id", id as u32);
    }
    node
}

fn cpus(choices: &Choices, handles: &Handles, isa: &IsaText) -> Node {
    let mut cpus = Node::new("cpus")
        .cell("#address-cells", 1)
        .cell("#size-cells", 0)
        .cell("timebase-frequency", TIMEBASE);
    let clusters = choices.numa.len().max(1);
    let mut clusters: Vec<_> = (0..clusters).map(|n| Node::new(format!("cluster{n}"))).collect();
    for hart in 0..choices.cpus {
        let node = choices.node_of_cpu(hart);
        let i = usize::from(hart);
        cpus.children
            .push(with_node(cpu(hart, handles.cpu[i], handles.intc[i], isa), node));
        let cluster = &mut clusters[node.unwrap_or(0)];
        let core = Node::new(format!("core{}", cluster.children.len()));
        cluster.children.push(core.cell("cpu", handles.cpu[i]));
    }
    let mut map = Node::new("cpu-map");
    map.children = clusters;
    cpus.child(map)
}

fn cpu(hart: u8, handle: u32, intc: u32, isa: &IsaText) -> Node {
    let mut node = Node::new(format!("cpu@{hart:x}"))
        .text("device_type", "cpu")
        .cell("reg", hart.into())
        .text("status", "okay")
        .text("compatible", "riscv")
        .text("riscv,isa", &isa.string)
        .text("riscv,isa-base", "rv64i")
        .texts("riscv,isa-extensions", &isa.extensions)
        .text("mmu-type", isa.mmu)
        .cell("phandle", handle);
    for (extension, name) in [
        ("zicbom", "riscv,cbom-block-size"),
        ("zicboz", "riscv,cboz-block-size"),
        ("zicbop", "riscv,cbop-block-size"),
    ] {
        if isa.extensions.contains(&extension) {
            node = node.cell(name, CACHE_BLOCK);
        }
    }
    node.child(
        Node::new("interrupt-controller")
            .text("compatible", "riscv,cpu-intc")
            .flag("interrupt-controller")
            .cell("#interrupt-cells", 1)
            .cell("phandle", intc),
    )
}

/// Cycles are counted by counter 0 and instructions by counter 2; nothing else is counted.
fn pmu() -> Node {
    Node::new("pmu")
        .text("compatible", "riscv,pmu")
        .cells("riscv,event-to-mhpmcounters", [1, 1, 1 << 0, 2, 2, 1 << 2])
}

fn memory(choices: &Choices) -> Vec<Node> {
    let bank = |at: u64, len: u64| {
        Node::new(format!("memory@{at:x}"))
            .text("device_type", "memory")
            .reg(&[(at, len)])
    };
    if choices.numa.is_empty() {
        return vec![bank(map::DRAM, choices.ram)];
    }
    let mut at = map::DRAM;
    let mut banks = Vec::new();
    for (id, node) in choices.numa.iter().enumerate().filter(|(_, n)| n.memory > 0) {
        banks.push(with_node(bank(at, node.memory), Some(id)));
        at += node.memory;
    }
    banks
}

fn timer(at: u64, v: &Variant, handles: &Handles) -> Node {
    if !v.aclint {
        return Node::new(format!("clint@{:x}", map::CLINT.0))
            .texts("compatible", &["sifive,clint0", "riscv,clint0"])
            .reg(&[map::CLINT])
            .cells("interrupts-extended", handles.to_harts([MSIP, MTIP]));
    }
    let end = if at == map::CLINT.0 {
        at + map::MTIMER_SIZE
    } else {
        map::CLINT.0 + map::CLINT.1
    };
    Node::new(format!("mtimer@{at:x}"))
        .text("compatible", "riscv,aclint-mtimer")
        .reg(&[(at + map::MTIME, end - at - map::MTIME), (at, map::MTIME)])
        .cells("interrupts-extended", handles.to_harts([MTIP]))
}

fn software_interrupts(part: &Part, at: u64, _v: &Variant, handles: &Handles) -> Node {
    let input = if part.name == "sswi" { SSIP } else { MSIP };
    Node::new(format!("{}@{at:x}", part.name))
        .text("compatible", &format!("riscv,aclint-{}", part.name))
        .reg(&[(at, map::SWI_SIZE)])
        .cells("interrupts-extended", handles.to_harts([input]))
        .flag("interrupt-controller")
        .cell("#interrupt-cells", 0)
}

fn plic(at: u64, _v: &Variant, handles: &Handles) -> Node {
    Node::new(format!("plic@{at:x}"))
        .texts("compatible", &["sifive,plic-1.0.0", "riscv,plic0"])
        .reg(&[(at, map::PLIC.1)])
        .cell("#address-cells", 0)
        .cell("#interrupt-cells", 1)
        .flag("interrupt-controller")
        .cells("interrupts-extended", handles.to_harts([MEIP, SEIP]))
        .cell("riscv,ndev", u32::from(map::SOURCES) - 1)
        .cell("phandle", handles.wired)
}

fn aplic(at: u64, v: &Variant, handles: &Handles) -> Node {
    let machine = at == map::APLIC_M.0;
    let mut node = Node::new(format!("interrupt-controller@{at:x}"))
        .texts("compatible", &["qemu,aplic", "riscv,aplic"])
        .reg(&[(at, map::APLIC_M.1)])
        .cell("#address-cells", 0)
        .cell("#interrupt-cells", 2)
        .flag("interrupt-controller")
        .cell("riscv,num-sources", map::SOURCES.into());
    node = match v.aia {
        Aia::Imsic => node.cell("msi-parent", handles.imsic[usize::from(!machine)]),
        _ => node.cells(
            "interrupts-extended",
            handles.to_harts([if machine { MEIP } else { SEIP }]),
        ),
    };
    if !machine {
        return node.cell("phandle", handles.wired);
    }
    let delegation = [handles.wired, 1, map::SOURCES.into()];
    node.cell("riscv,children", handles.wired)
        .cells("riscv,delegation", delegation)
        // What firmware before 2024 looks for.
        .cells("riscv,delegate", delegation)
        .cell("phandle", handles.aplic_m)
}

fn imsic(at: u64, v: &Variant, handles: &Handles) -> Node {
    let machine = at == map::IMSIC_M;
    let files = if machine { map::IMSIC_PAGE } else { v.supervisor_files() };
    let mut node = Node::new(format!("interrupt-controller@{at:x}"))
        .texts("compatible", &["qemu,imsics", "riscv,imsics"])
        .reg(&[(at, files * u64::from(v.harts))])
        .cell("#interrupt-cells", 0)
        .flag("interrupt-controller")
        .flag("msi-controller")
        .cells(
            "interrupts-extended",
            handles.to_harts([if machine { MEIP } else { SEIP }]),
        )
        .cell("riscv,num-ids", map::MESSAGES);
    if !machine && v.guest_bits() > 0 {
        node = node.cell("riscv,guest-index-bits", v.guest_bits());
    }
    node.cell("phandle", handles.imsic[usize::from(!machine)])
}

fn platform_bus(handles: &Handles) -> Node {
    let (at, len) = map::PLATFORM_BUS;
    Node::new(format!("platform-bus@{at:x}"))
        .texts("compatible", &["qemu,platform", "simple-bus"])
        .cell("#address-cells", 1)
        .cell("#size-cells", 1)
        .cells("ranges", [0, wide(at)[0], wide(at)[1], len as u32])
        .cell("interrupt-parent", handles.wired)
}

/// Space codes of the first cell of a PCI address (PCI Bus Binding to Open Firmware, 2.2.1.1).
const IO: u32 = 0x0100_0000;
const MEMORY: u32 = 0x0200_0000;
const MEMORY64: u32 = 0x0300_0000;

fn pcie(choices: &Choices, v: &Variant, handles: &Handles) -> Node {
    let mut node = Node::new(format!("pci@{:x}", map::PCIE_ECAM.0))
        .text("compatible", "pci-host-ecam-generic")
        .text("device_type", "pci")
        .bytes("reg", ranges(&[map::PCIE_ECAM]))
        .cell("#address-cells", 3)
        .cell("#size-cells", 2)
        .cell("#interrupt-cells", 1)
        .cell("linux,pci-domain", 0)
        .cells("bus-range", [0, (map::PCIE_ECAM.1 >> 20) as u32 - 1])
        .flag("dma-coherent")
        .cells("ranges", windows(choices))
        .cells("interrupt-map-mask", [0x1800, 0, 0, 7])
        .cells("interrupt-map", swizzle(handles));
    if v.aia == Aia::Imsic {
        node = node.cell("msi-parent", handles.imsic[1]);
    }
    node
}

fn windows(choices: &Choices) -> Vec<u32> {
    let high = map::pcie_high(choices.ram);
    let mut cells = Vec::new();
    for (space, bus, (at, len)) in [
        (IO, 0, map::PCIE_PIO),
        (MEMORY, map::PCIE_MMIO.0, map::PCIE_MMIO),
        (MEMORY64, high.0, high),
    ] {
        cells.push(space);
        cells.extend([wide(bus), wide(at), wide(len)].into_iter().flatten());
    }
    cells
}

/// Which wire the pins of each slot are on: the usual rotation, told for the first four slots, after which it repeats.
fn swizzle(handles: &Handles) -> Vec<u32> {
    let mut cells = Vec::new();
    for slot in 0..4u16 {
        for pin in 0..4u16 {
            cells.extend([u32::from(slot) << 11, 0, 0, u32::from(pin) + 1, handles.wired]);
            cells.extend(handles.specifier(map::PCIE_IRQ + (slot + pin) % 4));
        }
    }
    cells
}

/// 32 bytes that follow from the machine's seed, so that two runs agree.
fn rng_seed(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut word = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    (0..4).flat_map(|_| word().to_be_bytes()).collect()
}
