//! temp
use southbridge_cpu_armv7m::*;
fn hex(s: &str) -> Vec<u8> {
    (0..s.len() / 2)
        .map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}
fn main() {
    let mut bad = 0;
    let mut bus_only = 0;
    let mut steps = 0;
    let mut faults = 0;
    for path in std::env::args().skip(1) {
        for (ci, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
            let f: Vec<&str> = line.split(' ').collect();
            let (code, regs, mem, states) = (hex(f[1]), f[2], hex(f[3]), f[4]);
            let mut bus = FlatBus::new();
            bus.add(0, 0x40_0000, false);
            bus.add(0x2000_0000, 0x40_0000, false);
            let mut v = vec![];
            v.extend(0x20008000u32.to_le_bytes());
            for _ in 0..255 {
                v.extend(0x401u32.to_le_bytes());
            }
            v.extend([0xfe, 0xe7]);
            bus.load(0, &v);
            bus.load(0x20001000, &code);
            bus.load(0x20004000, &mem);
            bus.load(0x20006000 - 128, &[0x5a; 512]);
            let mut e = Engine::new(Config {
                ..Config::new(&CORTEX_M3, 32)
            });
            e.reset(&mut bus);
            let regs: Vec<u32> = regs.split(',').map(|v| u32::from_str_radix(v, 16).unwrap()).collect();
            for i in 0..13 {
                e.set_register(&format!("r{i}"), regs[i]);
            }
            e.set_register("sp", regs[13]);
            e.set_register("lr", regs[14]);
            e.set_register("pc", 0x20001000);
            e.set_register("xpsr", regs[15]);
            let mut ok = true;
            for (i, s) in states.split(';').enumerate() {
                if s.is_empty() {
                    break;
                }
                let before = e.registers();
                let (pc, it) = (e.register("pc").unwrap(), e.register("xpsr").unwrap());
                e.run(&mut bus, 1);
                steps += 1;
                // an exception is entered between instructions: look
                let now: Vec<u32> = e.registers().iter().take(17).map(|r| r.1).collect();
                let (a, b) = s.split_once(':').unwrap();
                let off = (pc as usize).wrapping_sub(0x20001000);
                let raw = code
                    .get(off..off + 4)
                    .map(|b| format!("{:02x}{:02x} {:02x}{:02x}", b[1], b[0], b[3], b[2]));
                if a == "FAULT" {
                    faults += 1;
                    if now[16] & 0x1ff == 0 {
                        println!(
                            "case {ci} step {i}: qemu faults at {pc:x} {raw:?} xpsr {it:x}, we {now:x?} before {before:x?}"
                        );
                        ok = false;
                    }
                    break;
                }
                let mut want: Vec<u32> = hex(a)
                    .chunks(4)
                    .take(16)
                    .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
                    .collect();
                want.extend(hex(b).chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())));
                if now != want {
                    if now[16] & 0x1ff == 3 {
                        let j = serde_json::to_string(e.state()).unwrap();
                        let g = |k: &str| {
                            j.split(&format!("\"{k}\":"))
                                .nth(1)
                                .unwrap()
                                .split(|c: char| !c.is_ascii_digit())
                                .next()
                                .unwrap()
                                .parse::<u32>()
                                .unwrap()
                        };
                        if g("cfsr") == 0x8200 {
                            bus_only += 1;
                            break;
                        }
                    }
                    println!("case {ci} step {i}: at {pc:x} {raw:?} xpsr {it:x}");
                    for r in 0..17 {
                        if now[r] != want[r] {
                            println!("   r{r}: we {:x} qemu {:x}", now[r], want[r]);
                        }
                    }
                    println!("   before {before:x?}");
                    ok = false;
                    break;
                }
            }
            if ok && !states.contains("FAULT") {
                for (base, want) in [(0x20004000u32, f[5]), (0x20006000 - 128, f[6])] {
                    let want = hex(want);
                    for (i, c) in want.chunks(4).enumerate() {
                        let w = u32::from_le_bytes(c.try_into().unwrap());
                        let have = bus.word(base + 4 * i as u32);
                        if w != have {
                            println!("case {ci}: mem {:x}: we {have:x} qemu {w:x}", base + 4 * i as u32);
                            ok = false;
                            break;
                        }
                    }
                }
            }
            bad += u32::from(!ok);
        }
    }
    println!("{bad} bad cases, {steps} steps, {faults} faults, {bus_only} bus");
}
