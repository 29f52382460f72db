//! Folders of the host in Debian's kernel: mounted, filled, emptied and compared, under every security model.

mod common;
use common::linux::{Guest, have_guest, machine};
use common::qmp::Client;
use common::wait;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const MODELS: [&str; 4] = ["mapped-xattr", "mapped-file", "passthrough", "none"];
/// Folders, and files in each.
const FOLDERS: usize = 42;
const FILES: usize = 50;

/// A tree of a few thousand files, from empty ones to some of megabytes.
fn plant(root: &Path) {
    for d in 0..FOLDERS {
        let dir = root.join(format!("dir-{}/sub-{d}", d % 7));
        fs::create_dir_all(&dir).unwrap();
        for f in 0..FILES {
            let mut seed = (d * FILES + f) as u64;
            let len = if f == 7 { d * 20_000 } else { (d * f * 37) % 9000 };
            let data: Vec<u8> = (0..len)
                .map(|_| {
                    seed = seed
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (seed >> 33) as u8
                })
                .collect();
            fs::write(dir.join(format!("file {f} of {d}.txt")), data).unwrap();
        }
    }
}

/// Checksums of all files below a folder, without the folders that the server keeps for itself.
fn sums(root: &Path) -> String {
    let listing = Command::new("sh")
        .args([
            "-c",
            "find . -name .virtfs_metadata -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum",
        ])
        .env("LC_ALL", "C")
        .current_dir(root)
        .output()
        .unwrap();
    assert!(listing.status.success());
    String::from_utf8(listing.stdout).unwrap().trim().to_owned()
}

const GUEST_SUMS: &str = "find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum";

struct Folders(tempfile::TempDir);

impl Folders {
    fn new(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|n| fs::create_dir(dir.path().join(n)).unwrap());
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn virtfs(&self, name: &str, rest: &str) -> String {
        format!("local,path={},mount_tag={name},{rest}", self.path(name).display())
    }
}

fn mount(guest: &mut Guest, tags: &[&str]) {
    guest.shell("load 9pnet_virtio && load 9p");
    for tag in tags {
        guest.shell(&format!(
            "mkdir -p /mnt/{tag} && mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 {tag} /mnt/{tag}"
        ));
    }
}

#[test]
fn a_tree_goes_in_and_out_under_every_model() {
    if !have_guest("a_tree_goes_in_and_out_under_every_model") {
        return;
    }
    let folders = Folders::new(&["src", "mapped-xattr", "mapped-file", "passthrough", "none"]);
    plant(&folders.path("src"));
    let source = sums(&folders.path("src"));
    let mut args = vec![
        "-virtfs".to_owned(),
        folders.virtfs("src", "security_model=none,readonly=on"),
    ];
    for model in MODELS {
        args.extend([
            "-virtfs".to_owned(),
            folders.virtfs(model, &format!("security_model={model}")),
        ]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut guest = Guest::boot(&args);
    guest.wait_for_shell();
    mount(
        &mut guest,
        &["src", "mapped-xattr", "mapped-file", "passthrough", "none"],
    );

    let seen = guest.shell(&format!("cd /mnt/src && {GUEST_SUMS}"));
    assert_eq!(seen, source, "what the guest reads is what the host has");
    let refused = guest.shell("touch /mnt/src/x 2>&1 || rm -r /mnt/src/dir-0 2>&1 | head -n1");
    assert!(refused.contains("Read-only file system"), "{refused}");

    for model in MODELS {
        // The whole tree once, and a part of it under the other models.
        let parts = if model == MODELS[0] { 0..7 } else { 3..4 };
        guest.shell(&format!("mkdir /mnt/{model}/tree"));
        for n in parts {
            guest.shell(&format!("cp -a /mnt/src/dir-{n} /mnt/{model}/tree/"));
            let tree = folders.path(model).join(format!("tree/dir-{n}"));
            let expected = sums(&folders.path("src").join(format!("dir-{n}")));
            assert_eq!(sums(&tree), expected, "{model}: what the guest wrote");
            let back = guest.shell(&format!("cd /mnt/{model}/tree/dir-{n} && {GUEST_SUMS}; cd /"));
            assert_eq!(back, expected, "{model}: what the guest reads of it");
        }
        let tree = folders.path(model).join("tree");
        permissions(&mut guest, &folders.path(model), model);
        open_files(&mut guest, &folders.path(model), model);
        guest.shell(&format!("cd / && rm -r /mnt/{model}/tree"));
        assert!(!tree.exists(), "{model}");
        let rest = guest.shell(&format!("ls -A /mnt/{model}"));
        assert_eq!(rest, "p", "{model}");
    }
    guest.shell("umount /mnt/*");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

/// Owners, permissions and special files, as the guest sees them and as they are on the host.
fn permissions(guest: &mut Guest, folder: &Path, model: &str) {
    let root = rustix::process::geteuid().is_root();
    let mut script =
        format!("mkdir /mnt/{model}/p && cd /mnt/{model}/p && echo x >f && chmod 4751 f && mkdir d && chmod 1777 d");
    script += " && ln -s /etc/nowhere l && mkfifo fifo";
    let owners = model.starts_with("mapped") || root;
    if owners {
        script += " && chown 1234:5678 f && chmod 4751 f && mknod dev c 1 3";
    }
    guest.shell(&script);
    let seen = guest.shell("stat -c '%n %A %u %g' * && readlink l");
    let mut expected = String::new();
    if owners {
        let _ = writeln!(
            expected,
            "d drwxrwxrwt 0 0\ndev crw-r--r-- 0 0\nf -rwsr-x--x 1234 5678\nfifo prw-r--r-- 0 0"
        );
        let _ = writeln!(expected, "l lrwxrwxrwx 0 0\n/etc/nowhere");
        assert_eq!(seen, expected.trim(), "{model}");
        assert_eq!(guest.shell("stat -c '%t %T' dev"), "1 3", "{model}");
    }
    let host = |name: &str| fs::symlink_metadata(folder.join("p").join(name)).unwrap();
    let (me, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if model.starts_with("mapped") {
        for name in ["f", "l", "fifo", "dev"] {
            let m = host(name);
            assert!(
                m.is_file() && m.permissions().mode() & 0o777 == 0o600,
                "{model}: {name}"
            );
            assert_eq!((m.uid(), m.gid()), (me, group), "{model}: {name}");
        }
        assert_eq!(fs::read(folder.join("p/l")).unwrap(), b"/etc/nowhere");
    } else {
        assert!(host("l").is_symlink() && host("fifo").file_type().is_fifo());
        if root {
            assert_eq!((host("f").uid(), host("f").gid()), (1234, 5678));
            assert!(host("dev").file_type().is_char_device());
        }
    }
    match model {
        "mapped-file" => {
            let text = fs::read_to_string(folder.join("p/.virtfs_metadata/f")).unwrap();
            assert_eq!(
                text,
                format!("virtfs.uid=1234\nvirtfs.gid=5678\nvirtfs.mode={}\n", 0o104_751)
            );
        }
        "mapped-xattr" => {
            let mut uid = [0; 4];
            rustix::fs::getxattr(folder.join("p/f"), "user.virtfs.uid", &mut uid[..]).unwrap();
            assert_eq!(u32::from_le_bytes(uid), 1234);
        }
        _ => {}
    }
}

/// Files that are renamed, removed and replaced while the guest has them open.
fn open_files(guest: &mut Guest, folder: &Path, model: &str) {
    guest.shell(&format!(
        "cd /mnt/{model} && mkdir -p o/deep && echo before >o/deep/f && exec 5<o/deep/f 6>>o/deep/f"
    ));
    guest.shell("mv o other && echo more >&6 && mv other/deep/f g");
    assert_eq!(
        fs::read_to_string(folder.join("g")).unwrap(),
        "before\nmore\n",
        "{model}"
    );
    guest.shell("rm g && echo last >&6");
    assert!(!folder.join("g").exists(), "{model}");
    assert_eq!(guest.shell("cat <&5"), "before\nmore\nlast", "{model}");
    guest.shell("exec 5<&- 6>&-; echo a >a; echo b >b; exec 5<b; mv a b");
    assert_eq!(guest.shell("cat <&5; cat b"), "b\na", "{model}");
    guest.shell("exec 5<&-; rm -r other b");
}

/// A guest with files open, in the middle of copying, goes elsewhere, finds them there, and goes on writing.
#[test]
fn a_guest_moves_with_its_folder_mounted() {
    if !have_guest("a_guest_moves_with_its_folder_mounted") || machine().get_program() == "qemu-system-riscv64" {
        return;
    }
    let folders = Folders::new(&["shared"]);
    let (state, socket) = (folders.path("state"), folders.path("qmp"));
    let virtfs = folders.virtfs("shared", "security_model=mapped-xattr");
    let listen = format!("unix:{},server=on,wait=off", socket.display());
    let mut guest = Guest::boot(&["-virtfs", &virtfs, "-qmp", &listen]);
    let mut monitor = Client::ready(&socket);
    guest.wait_for_shell();
    mount(&mut guest, &["shared"]);
    guest.shell("cd /mnt/shared && mkdir d && seq 1000 >d/f && exec 5<d/f 6>>d/log && read a <&5 && echo one >&6");
    guest.shell("echo held >held && exec 7<held && rm held");
    let uri = format!("file:{}", state.display());
    let refused = monitor.run("migrate", json!({ "uri": uri }));
    let why = refused["error"]["desc"].as_str().unwrap_or_default();
    assert!(why.contains("removed"), "{refused}");
    guest.shell("exec 7<&-");
    // Requests are under way when it goes.
    guest.shell(
        "(for n in $(seq 12); do cp /bin/busybox d/copy$n && cmp d/copy$n /bin/busybox || exit; done; echo all >/tmp/copied) & \
         until [ -e d/copy2 ]; do usleep 10000; done",
    );
    monitor.ok("migrate", json!({ "uri": uri }));
    wait("the end of the migration", || {
        let status = monitor.ok("query-migrate", json!({}))["status"].clone();
        assert!(status != json!("failed"), "{status}");
        status == json!("completed")
    });
    monitor.ok("quit", json!({}));
    assert_eq!(guest.ended(), Some(0));
    let mut guest = Guest::boot(&["-virtfs", &virtfs, "-incoming", &uri]);
    guest.type_line("");
    assert_eq!(guest.shell("read b <&5; echo $a $b"), "1 2");
    guest.shell("echo two >&6; rm d/f; echo three >d/new; sync");
    assert_eq!(fs::read_to_string(folders.path("shared/d/log")).unwrap(), "one\ntwo\n");
    guest.shell("until [ -s /tmp/copied ]; do usleep 10000; [ -n \"$(jobs)\" ] || exit 1; done");
    let copies = (1..=12).map(|n| fs::read(folders.path(&format!("shared/d/copy{n}"))).unwrap());
    let lengths: Vec<usize> = copies.map(|c| c.len()).collect();
    assert!(lengths.iter().all(|l| *l == lengths[0] && *l > 1 << 20), "{lengths:?}");
    guest.shell("for n in $(seq 12); do cmp d/copy$n /bin/busybox && rm d/copy$n || exit 1; done");
    assert_eq!(guest.shell("ls -1 d"), "log\nnew");
    assert!(!folders.path("shared/d/f").exists());
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}
