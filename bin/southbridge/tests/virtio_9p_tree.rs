//! A tree like that of a kernel's source goes out of a shared folder, over a disk of the guest, and into another folder: names, contents,
//! kinds, permissions and times stay. `SOUTHBRIDGE_9P_FILES=80000` makes it as large as one.

mod common;

use common::linux::{Guest, have_guest};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Files of the tree, unless the environment says so.
const FILES: usize = 1000;

/// Numbers that are the same in every run (Knuth's multiplier).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = (0..len.div_ceil(4)).flat_map(|_| (self.next() as u32).to_le_bytes());
        words.take(len).collect()
    }

    /// As in a source tree: many small ones, a few large, some empty.
    fn length(&mut self) -> usize {
        match self.below(1000) {
            0 => 1 << 20 | self.below(1 << 20),
            1..40 => 0,
            40..200 => self.below(60_000),
            _ => self.below(16_000),
        }
    }
}

/// A name that programs stumble over, now and then.
fn name(n: usize) -> String {
    match n % 97 {
        3 => format!("with blanks {n} .c"),
        5 => format!("-leading-dash-{n}"),
        7 => format!("Größe-测试-{n}.h"),
        11 => format!("quotes'\"$(x)*{n}"),
        13 => format!(".hidden{n}"),
        17 => format!("{n:0>255}"),
        _ => format!("file_{n}.c"),
    }
}

/// Plants the tree, and tells how many entries it has, the root included. What owners cannot read, only root could copy.
fn plant(root: &Path, files: usize) -> usize {
    const MODES: [u32; 8] = [0o644, 0o755, 0o600, 0o400, 0o444, 0o4755, 0o2711, 0o1644];
    let mut numbers = Numbers(files as u64);
    let mut folders = vec![root.to_owned()];
    let mut entries = 1;
    for n in 0..files {
        // A folder for each sixteen files, anywhere; every tenth of them deeper than all others.
        if n % 16 == 0 {
            let above = match n % 160 {
                0 => folders.len() - 1,
                _ => numbers
                    .below(folders.len())
                    .min(numbers.below(folders.len()))
                    .min(numbers.below(folders.len())),
            };
            let folder = folders[above].join(format!("dir_{n}"));
            // Guests take paths of up to 4095 bytes.
            if folder.as_os_str().len() < 2500 {
                fs::create_dir(&folder).unwrap();
                folders.push(folder);
                entries += 1;
            }
        }
        let folder = folders[numbers.below(folders.len())].clone();
        let path = folder.join(name(n));
        let len = numbers.length();
        fs::write(&path, numbers.bytes(len)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(MODES[numbers.below(MODES.len())])).unwrap();
        entries += 1;
        if n % 31 == 0 {
            let target = match n % 3 {
                0 => path.file_name().unwrap().into(),
                1 => PathBuf::from("/nowhere/at/all"),
                _ => PathBuf::from(format!("../{}", "x".repeat(200))),
            };
            symlink(target, folder.join(format!("link_{n}"))).unwrap();
            entries += 1;
        }
    }
    for (n, folder) in folders.iter().enumerate().rev() {
        let mode = [0o755, 0o700, 0o2755, 0o1777][n % 4];
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    entries
}

/// What is where, of every entry: name, kind and permissions, time, length (not of folders), where links lead; as one checksum and a count.
/// Both sides' tools understand it.
const LISTING: &str = "(find . -type f -print0 | sort -z | xargs -0 stat -c \"%n %f %Y %s %h\"; \
     find . -type d -print0 | sort -z | xargs -0 stat -c \"%n %f %Y\"; \
     find . -type l -print0 | sort -z | xargs -0 -n 1 sh -c 'echo \"$0\"; readlink \"$0\"') | sha256sum; find . | wc -l";

fn on_host(folder: &Path, command: &str) -> String {
    let mut shell = Command::new("sh");
    let out = shell
        .args(["-c", command])
        .env("LC_ALL", "C")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Runs what may take much longer than a command does elsewhere: a large tree, through a small machine.
#[track_caller]
fn long(guest: &mut Guest, command: &str, files: usize) -> String {
    guest.shell("rm -f /tmp/ended");
    guest.shell(&format!("( ({command}) >/tmp/said 2>&1; echo $? >/tmp/ended ) & true"));
    for _ in 0..=files / 100 {
        let ended = guest.shell("for n in $(seq 300); do [ -s /tmp/ended ] && echo yes && break; usleep 100000; done");
        if ended == "yes" {
            break;
        }
    }
    let said = guest.shell("cat /tmp/said");
    assert_eq!(guest.shell("cat /tmp/ended"), "0", "'{command}' printed\n{said}");
    said
}

#[test]
fn a_tree_like_a_kernels_goes_out_and_in() {
    if !have_guest("a_tree_like_a_kernels_goes_out_and_in") {
        return;
    }
    let files = std::env::var("SOUTHBRIDGE_9P_FILES").map_or(FILES, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["src", "dst", "lists"] {
        fs::create_dir(path(name)).unwrap();
    }
    let entries = plant(&path("src"), files);
    on_host(
        &path("src"),
        "find . -type f -print0 | sort -z | xargs -0 sha256sum >../lists/sums",
    );
    let listing = on_host(&path("src"), LISTING);
    assert_eq!(listing.lines().nth(1), Some(entries.to_string().as_str()));
    // Room for the contents, and for what a file system needs for so many files.
    fs::File::create(path("disk"))
        .unwrap()
        .set_len((files as u64 * 32 + 65536) << 10)
        .unwrap();

    let mut words = String::new();
    for (name, rest) in [
        ("src", "none,readonly=on"),
        ("dst", "mapped-xattr"),
        ("lists", "none,readonly=on"),
    ] {
        let _ = write!(
            words,
            "-virtfs local,path={},mount_tag={name},security_model={rest} ",
            path(name).display()
        );
    }
    let _ = write!(words, "-drive file={},if=virtio,format=raw", path("disk").display());
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut guest = Guest::boot_extra(&["block"], &words, "");
    guest.wait_for_shell();
    guest.shell(
        "for m in virtio_blk crc32c_generic ext4 9pnet_virtio 9p; do load $m 2>/dev/null; done; mkdir /mnt/disk",
    );
    // Linux takes a piece of memory of that size for each directory that it lists. In a guest whose memory a large tree has cut up it may
    // find none, and busybox takes the error for the end of the directory.
    let msize = if files > FILES { 16384 } else { 262_144 };
    let mount =
        |tag: &str| format!("mount -t 9p -o trans=virtio,version=9p2000.L,msize={msize},cache=loose {tag} /mnt/{tag}");
    for tag in ["src", "dst", "lists"] {
        guest.shell(&format!("mkdir /mnt/{tag}; {}", mount(tag)));
    }
    guest.shell("mkfs.ext4 -q -i 8192 /dev/vda && mount /dev/vda /mnt/disk && rmdir /mnt/disk/lost+found");
    let mut steps = String::new();
    let mut step = |what: &str, command: &str| {
        let start = Instant::now();
        let said = long(&mut guest, command, files);
        let _ = write!(steps, "{what} {:.1} s, ", start.elapsed().as_secs_f64());
        said
    };
    assert_eq!(
        step("list", &format!("cd /mnt/src && {LISTING}; cd /")),
        listing,
        "what the guest sees"
    );
    step("out", "cp -a /mnt/src /mnt/disk/");
    step("in", "cp -a /mnt/disk/src /mnt/dst/ && sync");
    assert_eq!(
        step("list again", &format!("cd /mnt/dst/src && {LISTING}; cd /")),
        listing,
        "what the guest wrote"
    );
    step("drop", &format!("umount /mnt/dst && {}", mount("dst")));
    for place in ["src", "dst/src"] {
        step(
            "check",
            &format!("cd /mnt/{place} && sha256sum -c /mnt/lists/sums >/tmp/checked; r=$?; cd /; [ $r = 0 ]"),
        );
        assert_eq!(step("count", "wc -l </tmp/checked"), files.to_string());
    }
    on_host(&path("dst/src"), "sha256sum --quiet -c ../../lists/sums");
    step("remove", "rm -r /mnt/dst/src && [ -z \"$(ls -A /mnt/dst)\" ]");
    assert_eq!(fs::read_dir(path("dst")).unwrap().count(), 0);
    guest.shell("umount /mnt/*");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
    println!("{files} files: {steps}");
}
