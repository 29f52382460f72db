//! The `virt` machine through the program: how it starts, what its options mean, what its device tree is.

mod common;
use common::{err, out, program, run};
use std::path::Path;
use std::process::Command;

/// In machine mode: writes "ok" to the UART and a mark to 0x80100000 if a0 is 0, a1 leads to a device tree and a2 to the record for dynamic
/// firmware, then powers off; else ends with status 3. Made from assembly, as each line says.
const MACHINE: [u32; 33] = [
    0x08051063, 0x0005a283, 0x000ee337, 0xfe13031b, // bnez a0, park; lw t0, 0(a1); li t1, 0xedfe0dd0
    0x00c31313, 0xdd030313, 0x0003031b, 0x04629a63, // sext.w t1, t1; bne t0, t1, bad
    0x00063283, 0x49425337, 0x34f3031b, 0x04629263, // ld t0, 0(a2); li t1, 0x4942534f; bne t0, t1, bad
    0x000012b7, 0x8012829b, 0x01429293, 0x6b726337, // li t0, 0x80100000; li t1, 0x6b72616d
    0x16d3031b, 0x0062a023, 0x100002b7, 0x06f00313, // sw t1, 0(t0); li t0, 0x10000000; li t1, 'o'
    0x00628023, 0x06b00313, 0x00628023, 0x00a00313, // sb t1, 0(t0); li t1, 'k'; sb t1, 0(t0); li t1, 10
    0x00628023, 0x00005337, 0x5553031b, 0x00c0006f, // sb t1, 0(t0); li t1, 0x5555; j end
    0x00033337, 0x3333031b, 0x001002b7, 0x0062a023, // bad: li t1, 0x33333; end: li t0, 0x100000; sw t1, 0(t0)
    0x0000006f, // park: j park
];

/// In supervisor mode: if a1 leads to a device tree, prints "sbi" by DBCN and powers off by SRST; else ends with status 3.
const SUPERVISOR: [u32; 28] = [
    0x0005a283, 0x000ee337, 0xfe13031b, 0x00c31313, // lw t0, 0(a1); li t1, 0xedfe0dd0
    0xdd030313, 0x0003031b, 0x04629063, 0x444248b7, // sext.w t1, t1; bne t0, t1, bad; li a7, DBCN
    0x34e8889b, 0x00000813, 0x00400513, 0x00000597, // li a6, 0; li a0, 4; lla a1, msg
    0x04058593, 0x00000613, 0x00000073, 0x00051e63, // li a2, 0; ecall; bnez a0, bad
    0x535258b7, 0x3548889b, 0x00000813, 0x00000513, // li a7, SRST; li a6, 0; li a0, 0
    0x00000593, 0x00000073, 0x00033337, 0x3333031b, // li a1, 0; ecall; bad: li t1, 0x33333
    0x001002b7, 0x0062a023, 0x0000006f, 0x0a696273, // li t0, 0x100000; sw t1, 0(t0); j .; msg: "sbi\n"
];

fn write(folder: &Path, name: &str, words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs `virt` with these words and a console on standard output.
fn virt(machine: &str, words: &[&str]) -> std::process::Output {
    let mut command: Command = program();
    command.args([
        "-M", machine, "-display", "none", "-monitor", "none", "-serial", "stdio",
    ]);
    run(command.args(words))
}

fn prints(machine: &str, words: &[&str], text: &str) {
    let result = virt(machine, words);
    let said = (out(&result), err(&result), result.status.code());
    assert_eq!(
        (said.0.as_str(), said.2),
        (text, Some(0)),
        "{machine} {words:?}: {}",
        said.1
    );
}

#[test]
fn a_program_starts_in_machine_mode() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "m", &MACHINE);
    prints("virt", &["-bios", &file], "ok\n");
    prints("virt", &["-bios", "none", "-kernel", &file, "-m", "64M"], "ok\n");
    for machine in ["virt,aia=aplic,aclint=on", "virt,aia=aplic-imsic,aia-guests=3"] {
        prints(machine, &["-bios", &file, "-smp", "4", "-cpu", "max"], "ok\n");
    }
}

#[test]
fn a_kernel_starts_above_the_built_in_firmware() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s", &SUPERVISOR);
    prints("virt", &["-kernel", &file], "sbi\n");
    prints(
        "virt,aia=aplic-imsic",
        &["-bios", "default", "-kernel", &file, "-smp", "2"],
        "sbi\n",
    );
}

#[test]
fn flash_is_started_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut image = Vec::new();
    image.extend(SUPERVISOR.iter().flat_map(|w| w.to_le_bytes()));
    image.resize(32 << 20, 0xff);
    let path = folder.path().join("flash");
    std::fs::write(&path, image).unwrap();
    let path = path.to_str().unwrap();
    prints(
        "virt",
        &[
            "-drive",
            &format!("if=pflash,format=raw,unit=0,readonly=on,file={path}"),
        ],
        "sbi\n",
    );
    let node = format!("file,node-name=code,filename={path},read-only=on");
    prints("virt,pflash0=code", &["-blockdev", &node], "sbi\n");
}

#[test]
fn memory_is_a_file_that_others_see() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "m", &MACHINE);
    let ram = folder.path().join("ram");
    let object = format!(
        "memory-backend-file,id=mem,size=64M,share=on,mem-path={}",
        ram.display()
    );
    prints(
        "virt,memory-backend=mem",
        &["-m", "64M", "-object", &object, "-bios", &file],
        "ok\n",
    );
    let seen = std::fs::read(&ram).unwrap();
    assert_eq!((&seen[0x10_0000..0x10_0004], seen.len()), (&b"mark"[..], 64 << 20));
    let nodes = [
        "-m",
        "128M",
        "-smp",
        "2",
        "-object",
        &object,
        "-object",
        "memory-backend-ram,id=two,size=64M",
    ];
    let numa = [
        "-numa",
        "node,memdev=mem,cpus=0",
        "-numa",
        "node,memdev=two,cpus=1",
        "-bios",
        &file,
    ];
    prints("virt", &[&nodes[..], &numa].concat(), "ok\n");
}

/// The text of a device tree, by the reference compiler; `None` where there is none.
fn text(dtb: &Path) -> Option<String> {
    let dtc = Command::new("dtc")
        .args(["-s", "-q", "-I", "dtb", "-O", "dts"])
        .arg(dtb)
        .output();
    dtc.ok().filter(|o| o.status.success()).map(|o| out(&o))
}

#[test]
fn the_device_tree_can_be_had_changed_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s", &SUPERVISOR);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let dump = |machine: &str, name: &str, words: &[&str]| {
        let machine = format!("{machine},dumpdtb={}", path(name));
        let result = virt(&machine, words);
        assert!(result.status.success(), "{}", err(&result));
    };
    dump("virt", "one", &["-append", "quiet", "-kernel", &file, "-smp", "2"]);
    dump(
        "virt",
        "two",
        &["-dtb", &path("one"), "-append", "loud", "-kernel", &file],
    );
    let Some(one) = text(&folder.path().join("one")) else {
        return;
    };
    let two = text(&folder.path().join("two")).unwrap();
    assert!(one.contains("bootargs = \"quiet\"") && one.contains("cpu@1"), "{one}");
    assert_eq!(
        one.replace("quiet", "loud"),
        two,
        "given back as it was, but for the command line"
    );
    prints("virt", &["-dtb", &path("one"), "-kernel", &file], "sbi\n");
}

#[test]
fn mistakes_are_told_at_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "s", &SUPERVISOR);
    let elf = common::firmware("hello-mps2-an385.elf");
    for (machine, words, expected) in [
        ("virt,aia=plic", vec![], "none, aplic or aplic-imsic"),
        ("virt,aai=none", vec![], "did you mean 'aia'"),
        ("virt", vec!["-smp", "9"], "1 to 8 for machine 'virt'"),
        (
            "virt",
            vec!["-cpu", "rv64,zbx=off"],
            "takes no 'zbx'; did you mean 'zba'",
        ),
        ("virt", vec!["-cpu", "rv46"], "did you mean 'rv64'"),
        ("virt", vec!["-kernel", &elf], "64-bit RISC-V code"),
        (
            "virt",
            vec!["-kernel", &file, "-initrd", &file, "-m", "3M"],
            "a larger -m helps",
        ),
        ("virt", vec!["-dtb", &file], "not a device tree"),
        ("virt,memory-backend=ram", vec![], "no memory back end 'ram'"),
        ("virt", vec!["-numa", "node,cpus=4"], "processors 0 to 0"),
        ("mps2-an385", vec!["-bios", &file], "takes no such file"),
    ] {
        let result = virt(machine, &words);
        assert_eq!(result.status.code(), Some(1), "{machine} {words:?}");
        assert!(err(&result).contains(expected), "{machine} {words:?}: {}", err(&result));
    }
}
