use super::*;
use crate::error::Style;
use crate::location::Origin;
use proptest::prelude::*;

/// A command line as a shell would split it, without quotes.
fn args(line: &str) -> Vec<String> {
    std::iter::once("southbridge")
        .chain(line.split_whitespace())
        .map(str::to_owned)
        .collect()
}

fn config(line: &str) -> Config {
    Config::from_args(&args(line)).unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn error(line: &str) -> String {
    match Config::from_args(&args(line)) {
        Ok(_) => panic!("{line}: no error"),
        Err(e) => e
            .render(&Style::one_line("southbridge"))
            .trim_start_matches("southbridge: ")
            .to_owned(),
    }
}

#[test]
fn a_machine_is_merged_from_all_its_options() {
    let c = config("-M lm3s6965evb,x_y=1 -kernel a.elf --machine x-y=2, -append hi -M kernel=b.elf");
    assert_eq!(c.machine.type_name.as_deref().map(String::as_str), Some("lm3s6965evb"));
    assert_eq!(c.machine.props.to_list(), "x-y=2");
    assert_eq!(c.kernel.unwrap().value, "b.elf");
    assert_eq!(c.append.unwrap().value, "hi");
}

#[test]
fn devices_keep_their_properties_and_places() {
    let c = config(r#"-device ivshmem-flat,id=shm,chardev=ivsh,bus=b -device {"driver":"pl011","id":"u"}"#);
    let [flat, uart] = c.devices.as_slice() else { panic!() };
    assert_eq!(
        (flat.driver.as_str(), flat.id.as_deref().map(String::as_str)),
        ("ivshmem-flat", Some("shm"))
    );
    assert_eq!(flat.props.to_list(), "chardev=ivsh");
    assert_eq!(flat.props.get("chardev").unwrap().value_at.word(), "ivsh");
    assert_eq!(flat.at().source().origin, Origin::Argument(1));
    assert_eq!(uart.id.as_ref().unwrap().at.word(), "u");
}

#[test]
fn globals_have_a_short_and_a_long_form() {
    let c = config("-global pl011.chardev=a,b -global driver=x.y,property=p,value=v");
    let all: Vec<_> = c
        .globals
        .iter()
        .map(|g| [g.driver.as_str(), g.property.as_str(), g.value.as_str()])
        .collect();
    assert_eq!(all, [["pl011", "chardev", "a,b"], ["x.y", "p", "v"]]);
}

#[test]
fn serial_short_forms_mean_what_they_mean_in_qemu() {
    let own = |line: &str| {
        let c = config(&format!("-serial {line}"));
        match c.serial_ports().remove(0) {
            SerialOpt {
                backend: SerialBackend::Own(own),
                monitor,
            } => (
                format!("backend={},{}", own.backend.value, own.props.to_list()),
                monitor,
            ),
            other => panic!("{other:?}"),
        }
    };
    for (short, long) in [
        ("null", "backend=null"),
        ("stdio", "backend=stdio"),
        ("pty", "backend=pty"),
        ("file:/tmp/a:b", "backend=file,path=/tmp/a:b"),
        ("pipe:p", "backend=pipe,path=p"),
        (
            "unix:/s,server=on,wait=off",
            "backend=socket,path=/s,server=on,wait=off",
        ),
        ("unix:/s,server,nowait", "backend=socket,path=/s,server=on,wait=off"),
        ("tcp::4444,server=on", "backend=socket,host=,port=4444,server=on"),
        ("tcp:h:1", "backend=socket,host=h,port=1"),
        ("tcp:[::1]:1", "backend=socket,host=::1,port=1"),
        ("telnet:h:1,server", "backend=socket,telnet=on,host=h,port=1,server=on"),
        ("udp::5", "backend=udp,host=,port=5"),
        ("udp:h:5@l:6", "backend=udp,host=h,port=5,localaddr=l,localport=6"),
        ("mon:stdio", "backend=stdio,mux=on,signal=off"),
        ("mon:pty", "backend=pty,mux=on"),
    ] {
        let (list, monitor) = own(short);
        assert_eq!(
            (list.trim_end_matches(','), monitor),
            (long, short.starts_with("mon:")),
            "{short}"
        );
    }
}

#[test]
fn the_first_serial_port_has_a_default() {
    let first = |line: &str| config(line).serial_ports();
    let text = |ports: &[SerialOpt]| match ports {
        [
            SerialOpt {
                backend: SerialBackend::Own(own),
                ..
            },
        ] => format!("backend={},{}", own.backend.value, own.props.to_list())
            .trim_end_matches(',')
            .to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(text(&first("-M x")), "backend=null");
    assert_eq!(text(&first("-nographic")), "backend=stdio,mux=on,signal=off");
    assert_eq!(text(&first("-nographic -monitor none")), "backend=stdio");
    assert_eq!(first("-nographic -nodefaults"), []);
    assert_eq!(
        first("-nographic -serial none"),
        [SerialOpt {
            backend: SerialBackend::None,
            monitor: false
        }]
    );
}

#[test]
fn chardevs_keep_their_words() {
    let c = config("-chardev socket,id=a,path=/s,reconnect=2 -chardev socket,id=b,host=,port=1,server,nowait");
    assert_eq!(
        (c.chardevs[0].id.as_str(), c.chardevs[0].backend.as_str()),
        ("a", "socket")
    );
    assert_eq!(c.chardevs[0].props.to_list(), "path=/s,reconnect=2");
    assert_eq!(c.chardevs[1].props.to_list(), "host=,port=1,server=on,wait=off");
}

#[test]
fn time_options() {
    let c = config("-icount 3,sleep=off -rtc base=2006-06-17T16:01:21,clock=vm -pace skip");
    let icount = c.icount.unwrap();
    assert_eq!(
        (icount.shift.value, icount.sleep, icount.align),
        (Shift::Fixed(3), false, false)
    );
    assert_eq!(
        c.rtc,
        RtcOpt {
            base: RtcBase::At(1_150_560_081),
            clock: Some(RtcClock::Virtual),
            slew: false
        }
    );
    assert_eq!(c.pace.unwrap().value, Pace::Skip);
    assert_eq!(config("-rtc base=1970-01-01").rtc.base, RtcBase::At(0));
    assert_eq!(config("-rtc base=2000-02-29").rtc.base, RtcBase::At(951_782_400));
    assert_eq!(config("-icount auto").icount.unwrap().shift.value, Shift::Auto);
}

#[test]
fn the_rest_is_read() {
    let c = config(
        "-m 64 -smp 2,cores=2 -name x,debug-threads=on -uuid 12345678-9abc-def0-0123-456789abcdef -seed 0x10 -no-reboot \
         -action panic=none -d int,trace:pl011_*,unimp, -D log -S -semihosting-config enable=on,arg=a,arg=b,,c \
         -accel tcg -M accel=interp:tcg -cpu cortex-m3,x=1 -display none -net none -nodefaults -no-user-config -pidfile p",
    );
    assert_eq!(c.memory.size.unwrap().value, 64 << 20);
    assert_eq!((c.smp.cpus.unwrap().value, c.smp.cores.unwrap().value), (2, 2));
    assert_eq!(c.uuid.unwrap()[..3], [0x12, 0x34, 0x56]);
    assert_eq!((c.seed, c.start_paused, c.nodefaults), (Some(16), true, true));
    assert_eq!(
        (c.action.reboot, c.action.panic),
        (RebootAction::Shutdown, PanicAction::None)
    );
    assert_eq!(
        c.log.items.into_iter().collect::<Vec<_>>(),
        [LogItem::Int, LogItem::Unimp]
    );
    assert_eq!(c.log.trace[0].value, "pl011_*");
    assert_eq!(c.semihosting.args, ["a", "b,c"]);
    assert_eq!(
        c.accels.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
        ["tcg", "interp", "tcg"]
    );
    assert_eq!(c.cpu.unwrap().props.to_list(), "x=1");
}

#[test]
fn the_monitor_on_the_terminal() {
    let monitors = |line: &str| config(&format!("-M x {line}")).monitors.len();
    for line in ["-nographic -serial null", "-serial file:x -nographic"] {
        assert_eq!(monitors(line), 1, "{line}");
        let first = config(&format!("-M x {line}")).monitors.remove(0);
        assert!(
            first.human && matches!(first.channel.backend, SerialBackend::Own(o) if o.id.value == "compat_monitor0")
        );
    }
    for line in [
        "-nographic",
        "-serial null",
        "-nographic -serial null -monitor none",
        "-nographic -serial null -nodefaults",
        "-nographic -serial stdio",
        "-nographic -serial mon:null",
        "-nographic -serial null -gdb stdio",
        "-nographic -serial chardev:c -chardev stdio,id=c",
    ] {
        assert_eq!(monitors(line), 0, "{line}");
    }
}

#[test]
fn habits_of_other_programs() {
    let c = config(
        "-M x -boot cd -boot menu=on,strict=off -boot once=n -sandbox off -overcommit mem-lock=off,cpu-pm=off \
         -msg timestamp=on -accel kvm -accel tcg -M accel=hvf:qtest",
    );
    assert!(c.messages.timestamp && !c.messages.guest_name);
    assert_eq!(c.accels[0].name.value, "tcg");
    assert!(!c.only_tests());
}

#[test]
fn help_may_be_asked_for_nearly_everything() {
    use HelpTopic as T;
    for (line, topic) in [
        ("-help", T::Usage),
        ("-M help", T::Machines),
        ("-machine lm3s6965evb,help", T::MachineProperties("lm3s6965evb".into())),
        ("-M lm3s6965evb -machine help", T::Machines),
        ("-cpu help", T::Cpus),
        ("-device help", T::Devices),
        ("-device ?", T::Devices),
        ("-device pl011,help", T::DeviceProperties("pl011".into())),
        ("-object help", T::Objects),
        ("-object x,help", T::ObjectProperties("x".into())),
        ("-chardev help", T::Chardevs),
        ("-accel help", T::Accels),
        ("-accel jit,help", T::AccelProperties("jit".into())),
        ("-d help", T::LogItems),
        ("-d trace:help", T::TraceEvents),
        ("-trace help", T::TraceEvents),
        ("-display help", T::Displays),
        ("-icount help", T::Option("icount")),
        ("-rtc help", T::Option("rtc")),
    ] {
        assert_eq!(config(line).info, Some(Info::Help(topic)), "{line}");
    }
    assert_eq!(config("-M x --version").info, Some(Info::Version));
}

#[test]
fn the_loader_is_checked() {
    let load = |props: &str| LoaderOpt::from_device(&config(&format!("-device loader,{props}")).devices[0]);
    assert!(matches!(
        load("file=a.bin,addr=0x100,force-raw=on").unwrap().what,
        LoaderWhat::File { raw: true, .. }
    ));
    assert!(matches!(
        load("data=0x55,data-len=4,addr=16").unwrap().what,
        LoaderWhat::Data { len: 4, .. }
    ));
    assert_eq!(load("addr=0x100,cpu-num=0").unwrap().what, LoaderWhat::ProgramCounter);
    for (props, message) in [
        ("file=a,data=1", "'file' excludes 'data', 'data-len' and 'data-be'"),
        ("data=1", "device 'loader' needs 'data-len'"),
        ("data=1,data-len=9", "'data-len' cannot be '9'"),
        ("addr=1", "device 'loader' needs 'cpu-num'"),
        ("cpu-num=0", "device 'loader' needs 'file', 'data' or 'addr'"),
        ("flie=a", "device 'loader' takes no 'flie'"),
    ] {
        assert_eq!(load(props).unwrap_err().message(), message, "{props}");
    }
}

#[test]
fn one_word_keeps_what_is_written_from_all_drives() {
    let line = "-drive file=a,id=a -snapshot -drive file=b,id=b,snapshot=off -blockdev file,node-name=n,filename=c \
                -pflash d -drive if=pflash,file=e,snapshot=off";
    let c = config(line);
    let said: Vec<_> = c
        .drives
        .iter()
        .map(|d| d.props.switch("snapshot").unwrap().unwrap().value)
        .collect();
    assert_eq!(said, [true, false]);
    assert!(c.block_nodes[0].props.get("snapshot").is_none());
    assert_eq!(
        c.flash.iter().map(|f| f.temporary).collect::<Vec<_>>(),
        [Some(true), Some(false)]
    );
    assert!(config("-drive file=a").drives[0].props.get("snapshot").is_none());
}

/// One line for each kind of error; the file is the collection of all wordings.
#[test]
fn errors_on_one_line() {
    let lines = [
        "-devcie pl011",
        "-bogus",
        "-",
        "--",
        "-hda disk.img",
        "-hda",
        "-monitor studio",
        "-mon chardev=c,mode=edit",
        "-device",
        "-serial=stdio",
        "-S=on",
        "disk.img",
        "uo",
        "-device ,x=1",
        "-device chardev=x",
        "-device pl011,id=1x",
        "-device pl011,id=a -device pl022,id=a",
        "-chardev stdio",
        "-chardev null,id=a -chardev null,id=a",
        "-chardev null,id=con -serial chardev:cno",
        "-chardev null,id=serial0 -serial stdio",
        "-serial sdtio",
        "-serial vc",
        "-serial tcp:x",
        "-M virt,usb",
        "-M x -shim y",
        "-M x,shim=y",
        "-drive if=ide,file=x",
        "-drive if=usb,file=x",
        "-drive id=a,file=x -drive id=a,file=y",
        "-drive if=pflash,file=x,format=qcow2",
        "-drive if=pflash,file=x,unit=7",
        "-blockdev nbd",
        "-blockdev node-name=a",
        "-blockdev raw,node-name=a,file=b -blockdev raw,node-name=b,file=a -M x,pflash0=a",
        "-blockdev null-co,node-name=a -M x,pflash0=a",
        "-blockdev file,node-name=a -blockdev file,node-name=a",
        "-M x,pflash0=a",
        "-numa cpu,node-id=1",
        "-numa nod",
        "-numa node,cpus=3-1",
        "-M x,accel=kvm",
        "-accel kvm -accel hvf",
        "-accel kvm:tcg",
        "-boot order=cc",
        "-boot menu=maybe",
        "-boot jump=on",
        "-sandbox on",
        "-sandbox off,spawn=deny,more=x",
        "-overcommit mem-lock=on",
        "-msg time=on",
        "-accel warp",
        "-smp 0",
        "-smp cpus=2,core=2",
        "-m 12Q",
        "-m 64,maxmem=1M",
        "-icount 11",
        "-icount 3,rr=record",
        "-icount auto,sleep=off",
        "-icount align=on",
        "-icount shfit=3",
        "-pace fast",
        "-rtc base=2006-02-30",
        "-rtc clock=tv",
        "-action panic=now",
        "-watchdog-action bark",
        "-uuid 1234",
        "-seed x",
        "-d itn",
        "-d op",
        "-d trace:",
        "-display gtk,gl=on",
        "-display nome",
        "-global pl011",
        "-global .x=1",
        "-object memory-backend-ram",
        "-semihosting-config target=gdb",
        "-daemonize -nographic",
        "-readconfig file",
    ];
    let all: Vec<String> = lines.iter().map(|line| error(line)).collect();
    insta::assert_snapshot!("errors_on_one_line", all.join("\n"));
}

#[test]
fn errors_with_the_word_marked() {
    let style = Style {
        program: "southbridge".into(),
        multiline: true,
        color: false,
    };
    let show = |line: &str| Config::from_args(&args(line)).unwrap_err().render(&style);
    let lines = [
        "-M x -icount shift=x",
        "-devcie pl011",
        "-icount shift=1,align=on,sleep=off",
        "-device pl011,id=a -S -device pl022,id=a",
        "-icount 3,sleep=maybe",
        "disk.img",
    ];
    insta::assert_snapshot!("errors_marked", lines.map(show).join("\n\n"));
    let color = Style { color: true, ..style };
    assert!(
        Config::from_args(&args("-bogus"))
            .unwrap_err()
            .render(&color)
            .contains('\x1b')
    );
}

const WORDS: &str = "(-M|-machine|-cpu|-accel|-smp|-m|-device|-global|-object|-chardev|-serial|-kernel|-nographic|\
    -icount|-pace|-rtc|-semihosting-config|-d|-name|-uuid|-action|-seed|-display|-hda|-S|--foo|-S=1|help|stdio|mon:stdio|\
    tcp::1,server|unix:|udp:a:1@:2|null,id=a|socket,id=b,path=/x|socket,id=c,host=h,port=1,to=5|hub,id=h,chardevs.0=a|\
    pl011,chardev=a|\\{\"driver\":\"x\"\\}|x.y=z|4,sleep=off|base=2000-01-01|int,exec|[a-z0-9,=:.{}\"']{0,12}|.{0,8})";

proptest! {
    #[test]
    fn no_command_line_panics(words in prop::collection::vec(WORDS, 0..8)) {
        let args: Vec<String> = std::iter::once("southbridge".to_owned()).chain(words).collect();
        match Config::from_args(&args) {
            Ok(config) => {
                let _ = (config.serial_ports(), config.to_ini());
                for device in &config.devices {
                    let _ = (LoaderOpt::from_device(device), device.props.tree());
                }
            }
            Err(error) => {
                let one = error.render(&Style::one_line("p"));
                prop_assert_eq!(one.lines().count(), 1, "{}", one);
                let _ = error.render(&Style { program: "p".into(), multiline: true, color: true });
            }
        }
    }
}

/// A file of options, read in place of `-readconfig`.
fn with_file(line: &str, file: &str) -> Result<Config, OptError> {
    Config::build(CommandLine::parse(&args(line))?.expand(|_| Ok(file.to_owned()))?)
}

#[test]
fn a_file_stands_for_its_options() {
    let file = "# comment\n\n[machine]\n  type = \"lm3s6965evb\"\n  kernel = \"a.elf\"\n[chardev \"con\"]\n backend = \"stdio\"\n\
                [device]\ndriver = \"pl011\"\nchardev = \"con\"\n[global]\ndriver = \"d\"\nproperty = \"p\"\nvalue = \"\"\n";
    let c = with_file("-readconfig f.cfg -kernel b.elf", file).unwrap();
    assert_eq!(c.kernel.unwrap().value, "b.elf");
    assert_eq!(
        c.chardevs[0].id.at.source().origin,
        Origin::File {
            path: "f.cfg".into(),
            line: 6
        }
    );
    assert_eq!(c.devices[0].props.to_list(), "chardev=con");
    assert_eq!(c.globals[0].value.value, "");
}

#[test]
fn errors_in_files_name_the_line() {
    let files = [
        "x = \"1\"",
        "[machine",
        "[machin]",
        "[tpmdev \"n\"]",
        "[chardev \"c\"]\n  backend = stdio",
        "[chardev \"c\"]\n  backend = \"stdio\"\n[chardev \"c\"]\n  backend = \"null\"",
        "[chardev]\n  backend = \"null\"",
        "[icount]\nshift = \"x\"",
    ];
    let all: Vec<String> = files
        .iter()
        .map(|f| with_file("-readconfig f.cfg", f).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!("errors_in_files", all.join("\n"));
}

#[test]
fn what_is_written_is_read_again() {
    let line = "-M lm3s6965evb,a=b,,c -kernel k -append x -m 64K -smp 2 -chardev socket,id=s,path=/x,server,nowait \
                -device pl011,chardev=s,id=d -object o,id=o1,a.b=1 -global a.b=c,d -icount 3 -rtc base=utc -name n \
                -semihosting-config enable=on,arg=a,arg=b -accel tcg -nographic -S";
    let config = config(line);
    let text = config.to_ini().unwrap();
    insta::assert_snapshot!("writeconfig", text);
    let again = with_file("-readconfig f", &text).unwrap();
    assert_eq!(
        again
            .to_ini()
            .unwrap()
            .lines()
            .filter(|l| !l.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n")
            .trim(),
        text.lines()
            .filter(|l| !l.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n")
            .trim()
    );
    assert_eq!(
        (again.machine, again.devices, again.chardevs),
        (config.machine, config.devices, config.chardevs)
    );
    assert_eq!(
        (again.globals, again.semihosting, again.icount),
        (config.globals, config.semihosting, config.icount)
    );
}

proptest! {
    #[test]
    fn lists_survive_a_file(keys in prop::collection::vec(("[a-z][a-z0-9.-]{0,8}", "[^\"\n\r]{0,12}"), 0..6)) {
        let list: String = keys.iter().map(|(k, v)| format!(",{k}={}", v.replace(',', ",,"))).collect();
        let args = ["southbridge".to_owned(), "-device".to_owned(), format!("dev{list}")];
        if let Ok(config) = Config::from_args(&args) {
            let again = with_file("-readconfig f", &config.to_ini().unwrap()).unwrap();
            prop_assert_eq!(again.devices, config.devices);
        }
    }

    #[test]
    fn no_file_panics(text in "([\\[\\]a-z \"=#.]{0,20}\n){0,6}") {
        let _ = with_file("-readconfig f", &text);
    }
}

#[test]
fn trace_takes_patterns_and_files() {
    use super::TraceFormat;
    let c = Config::from_args(&[
        "x",
        "-trace",
        "pl011_*",
        "-trace",
        "enable=-mmio_*,events=e,file=f,format=perfetto",
    ]);
    let traces = c.expect("a configuration").traces;
    let word = |w: &Option<crate::Located<String>>| w.as_ref().map(|w| w.value.clone()).unwrap_or_default();
    assert_eq!(traces.len(), 2);
    assert_eq!(
        (word(&traces[0].enable), traces[0].format),
        ("pl011_*".into(), TraceFormat::Text)
    );
    assert_eq!(word(&traces[1].enable), "-mmio_*");
    assert_eq!(
        (word(&traces[1].events), word(&traces[1].file)),
        ("e".into(), "f".into())
    );
    assert_eq!(traces[1].format, TraceFormat::Perfetto);
    for wrong in ["format=perfetto", "format=xml,file=f", "patern=x"] {
        assert!(Config::from_args(&["x", "-trace", wrong]).is_err(), "{wrong}");
    }
}
