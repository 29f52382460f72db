use super::*;
use crate::fs::Name;
use rustix::fs::CWD;
use tempfile::TempDir;

/// The way of kernels without `openat2` leads to the same places, and no further.
#[test]
fn directories_are_found_with_and_without_openat2() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
    std::os::unix::fs::symlink("a", folder.path().join("l")).unwrap();
    std::fs::write(folder.path().join("f"), b"").unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::openat(CWD, folder.path(), flags, Mode::empty()).unwrap();
    let local = Local::new(root, Model::None, 0o600, 0o700);
    let path = |text: &str| -> Vec<Name> { text.split('/').map(|n| Name::from(n.as_bytes())).collect() };
    let ino = |dir: place::Dir<'_>| fs::fstat(&dir).unwrap().st_ino;
    for text in ["a", "a/b", "a/b/c"] {
        let path = path(text);
        assert_eq!(
            local.directory(&path).map(ino).unwrap(),
            local.directory_by_steps(&path).map(ino).unwrap()
        );
    }
    for text in ["l", "l/b", "f", "f/x", "x", "a/x/b"] {
        let path = path(text);
        assert!(local.directory(&path).is_err(), "{text}");
        assert!(local.directory_by_steps(&path).is_err(), "{text}");
    }
    assert!(local.directory(&path("a/../..")).is_err());
}
