//! The options that work.

use super::opt;
use crate::keyval::Grammar;
use crate::options::Category::{Boot, Character, Debug, Disk, Display, Machine, Network, Program, Run};
use crate::options::{Complete as C, Handler as H, OptionDef};

pub(super) const TABLE: &[OptionDef] = &[
    opt(
        "machine",
        Machine,
        H::Machine,
        "choose the board and set its properties",
    )
    .alias(&["M"])
    .arg("[type=]NAME[,PROPERTY=VALUE]...")
    .list(Grammar::strict("type"), "machine")
    .merges()
    .complete(C::HelpOf("machine"))
    .detail(
        "NAME is a board; 'help' lists them, and NAME,help lists the properties of one. When lists are \
         merged, a later value replaces an earlier one.",
    ),
    opt("cpu", Machine, H::Cpu, "choose the processor and set its properties")
        .arg("MODEL[,PROPERTY=VALUE]...")
        .complete(C::HelpOf("cpu"))
        .detail("Without it the board's own processor is used. 'help' lists the models that fit the board."),
    opt("accel", Machine, H::Accel, "choose how guest code is executed")
        .arg("[accel=]NAME[,PROPERTY=VALUE]...")
        .list(Grammar::list("accel"), "accel")
        .adds()
        .complete(C::Words(&["help", "interp", "tcg", "qtest"]))
        .detail(
            "'interp' is the reference interpreter. 'tcg' asks, as in QEMU, for execution in software and means the \
             fastest such engine that this program has. With 'qtest' nothing is executed: a test program drives the \
             devices. The first one that can run is taken.",
        ),
    opt("smp", Machine, H::Smp, "number and arrangement of processors")
        .arg("[cpus=]N[,maxcpus=N][,sockets=N][,cores=N][,threads=N]...")
        .list(Grammar::strict("cpus"), "smp-opts")
        .merges()
        .detail("Further levels: drawers, books, dies, clusters, modules. A board with one processor takes only 1."),
    opt("numa", Machine, H::Numa, "which memory and processors are near to each other")
        .arg("node[,memdev=ID][,mem=SIZE][,cpus=FIRST[-LAST]]...[,nodeid=N]")
        .list(Grammar::list("type"), "numa")
        .adds()
        .detail("The memory of all nodes together is that of -m. Distances (dist) are not here yet."),
    opt("m", Machine, H::Memory, "size of the guest's memory")
        .arg("[size=]SIZE[,slots=N,maxmem=SIZE]")
        .list(Grammar::list("size"), "memory")
        .merges()
        .detail("Without suffix the size counts MiB. Most microcontroller boards have a fixed size and take no other."),
    opt("device", Machine, H::Device, "add a device")
        .arg("DRIVER[,PROPERTY=VALUE]...")
        .list(Grammar::list("driver").or_json(), "device")
        .adds()
        .complete(C::HelpOf("device"))
        .detail(
            "'help' lists the drivers, DRIVER,help lists the properties of one. 'id' names the device, 'bus' chooses \
             where it is plugged in. The argument may be a JSON object instead. '-device loader,...' puts files or \
             values into guest memory.",
        ),
    opt(
        "global",
        Machine,
        H::Global,
        "set a property on every device of a driver",
    )
    .arg("DRIVER.PROPERTY=VALUE")
    .list(Grammar::plain(), "global")
    .adds()
    .detail(
        "The long form driver=DRIVER,property=PROPERTY,value=VALUE also serves names that contain dots. Devices \
             that the board creates itself are reached this way.",
    ),
    opt("nodefaults", Machine, H::Nodefaults, "create only what is asked for")
        .detail("No default serial port, monitor or the like. What the board has soldered on stays."),
    opt("name", Machine, H::Name, "name the guest")
        .arg("[guest=]NAME[,process=NAME][,debug-threads=on|off]")
        .list(Grammar::list("guest"), "name")
        .merges(),
    opt("uuid", Machine, H::Uuid, "the guest's UUID (no board here shows it to the guest yet)")
        .arg("UUID")
        .detail("As 8-4-4-4-12 hexadecimal digits."),
    opt(
        "seed",
        Machine,
        H::Seed,
        "seed of random numbers (no device here has any yet)",
    )
    .arg("NUMBER")
    .detail("Without it too, two runs with the same input are the same to the instruction."),
    opt("chardev", Character, H::Chardev, "create a channel for characters")
        .arg("BACKEND,id=ID[,KEY=VALUE]...")
        .list(Grammar::list("backend"), "chardev")
        .adds()
        .complete(C::HelpOf("chardev"))
        .detail(
            "BACKEND is one of null, stdio, file, pipe, pty, socket, udp, ringbuf, mux and hub; 'help' lists them. \
             Each takes mux=on, logfile=FILE and logappend=on|off as well. A device then names it with chardev=ID.",
        ),
    opt("netdev", Network, H::Netdev, "create a network back end")
        .arg("TYPE,id=ID[,KEY=VALUE]...")
        .list(Grammar::list("type").or_json(), "netdev")
        .adds()
        .complete(C::HelpOf("netdev"))
        .detail(
            "'help' lists the types, TYPE,help lists the options of one. A device then names it with netdev=ID. The \
             argument may be a JSON object instead.",
        ),
    opt("nic", Network, H::Nic, "back end and network device in one")
        .arg("[type=]TYPE[,mac=ADDRESS][,model=DEVICE][,KEY=VALUE]...")
        .list(Grammar::list("type").or_json(), "nic")
        .adds()
        .complete(C::HelpOf("netdev"))
        .detail(
            "The back end is made as by -netdev, and the board's own network device leads to it, or, where the board has \
             none left, one of the type that 'model' says. 'none' asks for no network device; model=help lists them.",
        ),
    opt("net", Network, H::Net, "older form of -nic: devices and back ends at one hub")
        .arg("nic|TYPE[,KEY=VALUE]...")
        .list(Grammar::list("type"), "net")
        .adds()
        .complete(C::HelpOf("netdev"))
        .detail("'nic[,macaddr=ADDRESS][,model=DEVICE][,netdev=ID]' is a network device, all else a back end."),
    opt("fsdev", Disk, H::Fsdev, "share a folder with the guest")
        .arg("local,id=ID,path=FOLDER,security_model=MODEL[,KEY=VALUE]...")
        .list(Grammar::list("fsdriver"), "fsdev")
        .adds()
        .complete(C::HelpOf("fsdev"))
        .detail(
            "The guest reaches it through a device: -device virtio-9p-pci,fsdev=ID,mount_tag=TAG. MODEL says where owners and \
             permissions of the guest are kept: mapped-xattr (in extended attributes), mapped-file (in hidden files), passthrough (as \
             they are) or none. 'help' lists the drivers, DRIVER,help the options of one.",
        ),
    opt("virtfs", Disk, H::Virtfs, "share a folder with the guest, and create the device for it")
        .arg("local,path=FOLDER,mount_tag=TAG,security_model=MODEL[,KEY=VALUE]...")
        .list(Grammar::list("fsdriver"), "virtfs")
        .adds()
        .complete(C::HelpOf("fsdev"))
        .detail("As -fsdev, with a virtio-9p-pci device. The guest mounts it: mount -t 9p -o trans=virtio TAG /mnt."),
    opt(
        "serial",
        Character,
        H::Serial,
        "connect the next serial port of the board",
    )
    .arg("DEV")
    .adds()
    .complete(C::Words(&[
        "stdio",
        "mon:stdio",
        "null",
        "none",
        "pty",
        "file:",
        "pipe:",
        "unix:",
        "tcp:",
        "chardev:",
    ]))
    .detail(
        "The first -serial is the first port, and so on. DEV is a channel in short form: null, stdio, pty, \
             file:PATH, pipe:PATH, unix:PATH[,server=on][,wait=off], tcp:[HOST]:PORT[,...], telnet:[HOST]:PORT[,...], \
             udp:[HOST]:PORT[@[HOST]:PORT], chardev:ID for one that -chardev made, or none to leave the port open. \
             mon: before it shares the channel between the port and the monitor; Ctrl-a h lists its keys.",
    ),
    opt(
        "monitor",
        Character,
        H::Monitor,
        "the monitor for people (HMP) on a channel",
    )
    .arg("DEV")
    .adds()
    .complete(C::Words(&["stdio", "none", "pty", "unix:", "tcp:", "chardev:"]))
    .detail("DEV is a channel as -serial takes it; 'none' leaves the machine without such a monitor."),
    opt(
        "qmp",
        Character,
        H::Qmp,
        "the machine-readable monitor (QMP) on a channel",
    )
    .arg("DEV")
    .adds()
    .complete(C::Words(&["unix:", "tcp:", "stdio", "chardev:", "none"]))
    .detail(
        "DEV is a channel in the short forms of -serial. A socket with server=on takes any number of clients, each with \
             a conversation of its own; wait=off lets the machine start before the first one comes.",
    ),
    opt("qmp-pretty", Character, H::QmpPretty, "the same, indented").arg("DEV").adds(),
    opt("mon", Character, H::Mon, "a monitor on a channel of -chardev")
        .arg("[chardev=]ID[,mode=readline|control][,pretty=on|off]")
        .list(Grammar::list("chardev"), "mon")
        .adds()
        .detail("mode=control is QMP; mode=readline, the default, is for people."),
    opt(
        "nographic",
        Display,
        H::Nographic,
        "no display; the first serial port on the terminal",
    )
    .detail(
        "Unless -serial says otherwise the first serial port is on standard input and output, shared with the \
             monitor. Ctrl-a x ends the run, Ctrl-a h lists the other keys.",
    ),
    opt(
        "display",
        Display,
        H::Display,
        "what shows the guest's display (only 'none' yet)",
    )
    .arg("TYPE[,KEY=VALUE]...")
    .complete(C::Words(&["none", "help"])),
    opt(
        "kernel",
        Boot,
        H::Kernel,
        "program to load: ELF, raw binary or Intel HEX",
    )
    .arg("FILE")
    .complete(C::File)
    .detail("An ELF file goes where its headers say, a raw binary to the board's boot memory."),
    opt("initrd", Boot, H::Initrd, "initial RAM disk of the kernel")
        .arg("FILE")
        .complete(C::File),
    opt("dtb", Boot, H::Dtb, "device tree for the kernel, instead of the board's own")
        .arg("FILE")
        .complete(C::File),
    opt("bios", Boot, H::Bios, "firmware of the board")
        .arg("FILE")
        .complete(C::File)
        .detail(
            "An ELF file or a raw binary. 'default' is what is built in; with 'none' the program starts without firmware.",
        ),
    opt("pflash", Boot, H::Pflash, "contents of the next flash chip of the board")
        .arg("FILE")
        .adds()
        .complete(C::File)
        .detail("The same as -drive if=pflash,format=raw,file=FILE."),
    opt(
        "append",
        Boot,
        H::Append,
        "command line for the program that -kernel loads",
    )
    .arg("TEXT")
    .detail("With semihosting, the program sees its words as arguments unless -semihosting-config gives others."),
    opt(
        "semihosting",
        Boot,
        H::Semihosting,
        "let the guest use the host through semihosting",
    )
    .detail("The guest can then read and write files of the host: only for programs that you trust."),
    opt(
        "semihosting-config",
        Boot,
        H::SemihostingConfig,
        "semihosting in detail",
    )
    .arg("[enable=on|off][,target=native|gdb|auto][,chardev=ID][,userspace=on|off][,arg=TEXT]...")
    .list(Grammar::plain(), "semihosting-config")
    .detail(
        "chardev sends the semihosting console to that channel instead of standard error. Each arg is one word of \
             the guest program's command line, the first being its own name.",
    ),
    opt("S", Run, H::StartPaused, "do not run the processors at start"),
    opt(
        "icount",
        Run,
        H::Icount,
        "virtual time from the number of executed instructions",
    )
    .arg("[shift=]N|auto[,align=on|off][,sleep=on|off][,rr=record|replay,rrfile=FILE]")
    .list(Grammar::list("shift"), "icount")
    .merges()
    .detail(
        "Each instruction takes 2^N ns of virtual time. sleep=off skips the spans in which the guest only waits. \
             Microcontroller boards count instructions in any case, at the clock of their processor; see -pace for how \
             their time relates to the wall clock. rr=record writes all that comes from outside into FILE; with rr=replay \
             and the same machine and program the same run happens again, to the instruction and without the outside.",
    ),
    opt("pace", Run, H::Pace, "how virtual time relates to the wall clock")
        .arg("idle|skip|wall")
        .own()
        .complete(C::Words(&["idle", "skip", "wall"]))
        .detail(
            "idle (the default of microcontroller boards): a busy guest runs as fast as the host can, and waiting \
             lasts as long as it says in the guest. skip: waiting is skipped, for tests. wall: virtual time follows \
             the wall clock, and runs are no longer repeatable. This option is not in QEMU.",
        ),
    opt("incoming", Run, H::Incoming, "take over a machine that migrates here")
        .arg("ADDRESS|defer")
        .complete(C::Words(&["defer", "file:", "unix:", "tcp:", "fd:", "exec:"]))
        .detail(
            "ADDRESS is file:PATH[,offset=N], unix:PATH, tcp:[HOST]:PORT, fd:N or exec:COMMAND. The rest of the command \
             line must describe the machine that comes. With defer the monitor's migrate-incoming says from where.",
        ),
    opt("loadvm", Run, H::Loadvm, "start from a saved state")
        .arg("NAME")
        .detail("The state that the monitor's savevm wrote into the folder of -snapshot-dir."),
    opt(
        "snapshot-dir",
        Run,
        H::SnapshotDir,
        "folder for the states of savevm and loadvm",
    )
    .arg("DIR")
    .own()
    .complete(C::File)
    .detail(
        "QEMU keeps them inside disk images; these machines have none. Without this option states are kept in memory \
             and end with the process. This option is not in QEMU.",
    ),
    opt("rtc", Run, H::Rtc, "date and clock of the guest")
        .arg("[base=utc|localtime|DATETIME][,clock=host|rt|vm][,driftfix=none|slew]")
        .list(Grammar::plain(), "rtc")
        .merges()
        .detail(
            "DATETIME is like 2006-06-17T16:01:21 or 2006-06-17. The date follows virtual time on these boards, \
             whatever clock= and driftfix= say.",
        ),
    opt("boot", Boot, H::Boot, "order of boot devices")
        .arg("[order=LETTERS][,once=LETTERS][,menu=on|off]...")
        .list(Grammar::list("order"), "boot-opts")
        .merges()
        .detail("Checked, and without effect: the machines here start what -kernel, -bios or their flash memory holds."),
    opt(
        "overcommit",
        Run,
        H::Overcommit,
        "lock memory, leave power states to the guest",
    )
    .arg("[mem-lock=off][,cpu-pm=off]")
    .list(Grammar::plain(), "overcommit")
    .merges()
    .detail("Only off is here, which asks for nothing."),
    opt("sandbox", Run, H::Sandbox, "system call filter")
        .arg("off")
        .list(Grammar::list("enable"), "sandbox")
        .merges()
        .detail("Only off is here, which asks for nothing."),
    opt("msg", Program, H::Msg, "time and guest name before messages")
        .arg("[timestamp=on|off][,guest-name=on|off]")
        .list(Grammar::plain(), "msg")
        .merges(),
    opt(
        "no-reboot",
        Run,
        H::NoReboot,
        "end the run where the guest would reboot",
    )
    .detail("The same as -action reboot=shutdown."),
    opt(
        "no-shutdown",
        Run,
        H::NoShutdown,
        "pause where the guest would switch off",
    )
    .detail("The same as -action shutdown=pause."),
    opt(
        "action",
        Run,
        H::Action,
        "what happens at reboot, shutdown, panic and watchdog",
    )
    .arg("[reboot=reset|shutdown][,shutdown=poweroff|pause][,panic=ACTION][,watchdog=ACTION]")
    .list(Grammar::plain(), "action")
    .merges()
    .detail(
        "panic takes pause, shutdown, exit-failure or none; watchdog takes reset, shutdown, poweroff, inject-nmi, \
             pause, debug or none. A processor that locks up is a panic; if it ends the run, the status is 1.",
    ),
    opt(
        "watchdog-action",
        Run,
        H::WatchdogAction,
        "what happens when a watchdog of the guest expires",
    )
    .arg("ACTION")
    .complete(C::Words(&[
        "reset",
        "shutdown",
        "poweroff",
        "inject-nmi",
        "pause",
        "debug",
        "none",
    ]))
    .detail("The same as -action watchdog=ACTION."),
    opt("d", Debug, H::LogItems, "log these things")
        .arg("ITEM[,ITEM]...")
        .complete(C::HelpOf("d"))
        .detail("'help' lists the items. trace:PATTERN turns on the trace events that match; * stands for any text."),
    opt(
        "D",
        Debug,
        H::LogFile,
        "write the log to a file instead of standard error",
    )
    .arg("FILE")
    .complete(C::File),
    opt("trace", Debug, H::Trace, "record trace events")
        .arg("[[enable=]PATTERN][,events=FILE][,file=FILE][,format=text|perfetto]")
        .list(Grammar::list("enable"), "trace")
        .adds()
        .complete(C::HelpOf("trace"))
        .detail(
            "'help' lists the events. PATTERN is an event's name in which * stands for any text; with a - before it it \
             turns events off. FILE of events= has one pattern on each line. Without file= events go into the log. \
             format=perfetto writes a file for the viewer at ui.perfetto.dev; 'southbridge trace2perfetto IN OUT' makes \
             one from a trace in text form.",
        ),
    opt("gdb", Debug, H::Gdb, "let gdb debug the guest over a channel")
        .arg("DEV")
        .complete(C::Words(&["tcp::1234", "unix:", "stdio", "chardev:", "none"]))
        .detail(
            "DEV is a channel in the short forms of -serial. tcp:[HOST]:PORT serves and does not wait unless it says \
             otherwise. With -S the guest waits for gdb's 'continue'. gdb can also run the guest backwards, to the moment \
             at which it connected.",
        ),
    opt("s", Debug, H::GdbDefault, "the same as -gdb tcp::1234"),
    opt(
        "qtest",
        Debug,
        H::Qtest,
        "let a test program drive devices over a channel",
    )
    .arg("DEV")
    .detail(
        "DEV is a channel in the short forms of -serial. With '-accel qtest' no processor runs and time moves only by \
             the protocol.",
    ),
    opt("qtest-log", Debug, H::QtestLog, "log the qtest protocol")
        .arg("FILE")
        .complete(C::File),
    opt("drive", Disk, H::Drive, "a disk with its image, or the contents of a flash chip")
        .arg("file=FILE[,if=virtio|none|pflash][,format=raw][,id=ID][,cache=MODE][,readonly=on|off]...")
        .list(Grammar::plain(), "drive")
        .adds()
        .complete(C::Words(&["if=virtio", "if=none", "if=pflash"]))
        .detail(
            "if=virtio makes a virtio-blk-pci device; if=none leaves the disk to a -device with drive=ID. Without 'if' it is \
             the board's usual one: virtio where there is PCI. MODE is writeback, none, writethrough, directsync or unsafe. \
             With if=pflash it is the flash chip of number 'unit', or the next one.",
        ),
    opt("snapshot", Disk, H::Snapshot, "what guests write to drives is gone with the run")
        .detail(
            "The same as snapshot=on in each -drive that does not say otherwise, and for -pflash. Images of -blockdev are \
             written as ever.",
        ),
    opt("blockdev", Disk, H::Blockdev, "create a block node: what is behind a disk")
        .arg("[driver=]DRIVER,node-name=NAME[,KEY=VALUE]...")
        .list(Grammar::list("driver").or_json(), "blockdev")
        .adds()
        .complete(C::HelpOf("blockdev"))
        .detail(
            "'help' lists the drivers, DRIVER,help lists the options of one. A device then names it with drive=NAME. Options of \
             a node below it begin with 'file.'. The argument may be a JSON object instead.",
        ),
    opt("object", Program, H::Object, "create an object")
        .arg("TYPE,id=ID[,PROPERTY=VALUE]...")
        .list(Grammar::list("qom-type").or_json(), "object")
        .adds()
        .complete(C::HelpOf("object"))
        .detail(
            "'help' lists the types, TYPE,help the properties of one. '-object ivshmem-server,...' runs the server for \
             shared memory inside this process.",
        ),
    opt("readconfig", Program, H::ReadConfig, "read options from a file")
        .arg("FILE")
        .adds()
        .complete(C::File)
        .detail(
            "The file has sections such as [device \"id\"] with lines key = \"value\", as QEMU writes and reads it.",
        ),
    opt(
        "writeconfig",
        Program,
        H::WriteConfig,
        "write the options to a file that -readconfig takes",
    )
    .arg("FILE")
    .complete(C::File)
    .detail("'-' is standard output. Options that such a file cannot hold are written as comments."),
    opt(
        "no-user-config",
        Program,
        H::NoUserConfig,
        "read no configuration of the user or system",
    )
    .detail("This program reads none in any case."),
    opt("pidfile", Program, H::Pidfile, "write the process's number to a file")
        .arg("FILE")
        .complete(C::File)
        .detail("The file is removed at the end of the run."),
    opt(
        "daemonize",
        Program,
        H::Daemonize,
        "go to the background once everything is set up",
    )
    .detail("The command returns when the machine stands and its sockets are open, or with the error if not."),
    opt("help", Program, H::Help, "show this text").alias(&["h"]),
    opt("version", Program, H::Version, "show the version"),
];
