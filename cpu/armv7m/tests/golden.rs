//! What the fast tier makes of a small loop, as text: guest instructions and IR.

use southbridge_cpu_armv7m::{CORTEX_M3, Config, Engine, FlatBus, disasm, jit};

const CODE: u32 = 0x2000_0100;

/// Reads bytes up to a zero, adds, shifts, and picks or jumps over what is conditional.
#[rustfmt::skip]
const LOOP: [u16; 20] = [
    0xf811, 0x3b01, 0x2b00, 0xd010, 0x18d2, 0x08d4, 0xbf28, 0x406a, 0xb40c, 0x42a2, 0xbc0c, 0xbfbc, 0xf846, 0x2023, 0xf1a2, 0x0201,
    0xdaee, 0xe7ed, 0x4770, 0xbf00,
];

#[test]
fn a_loop() {
    let mut bus = FlatBus::new();
    bus.add(0, 0x100, true);
    bus.add(0x2000_0000, 0x1000, false);
    let bytes: Vec<u8> = LOOP.iter().flat_map(|h| h.to_le_bytes()).collect();
    bus.load(CODE, &bytes);
    bus.load(0, &0x2000_0800u32.to_le_bytes());
    bus.load(4, &(CODE | 1).to_le_bytes());
    // Bytes to read, so that all of it has been executed.
    bus.load(0x2000_0200, &[1, 200, 3, 255, 7]);
    let mut engine = Engine::new(Config::new(&CORTEX_M3, 8));
    let options = jit::Options {
        threads: 0,
        ..Default::default()
    };
    engine.set_jit(Some(options)).expect("a compiler for this host");
    engine.reset(&mut bus);
    engine.set_register("r1", 0x2000_0200);
    engine.set_register("r6", 0x2000_0400);
    engine.run(&mut bus, 60);
    let [ir, ..] = engine.show_compiled(CODE).expect("code");
    let mut guest = String::new();
    let mut at = 0;
    while let Some((len, text)) = bytes.get(at..).and_then(|rest| disasm::at(CODE + at as u32, rest)) {
        guest += &format!("{at:+} {text}\n");
        at += len;
    }
    insta::assert_snapshot!(format!("{guest}\n{ir}"));
}
