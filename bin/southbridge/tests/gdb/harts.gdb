info threads
info registers pc priv misa satp fcsr mhartid
p $fa0
# The ECALL to the firmware is one step.
break *0x80200026
continue
delete
stepi
info threads
thread 2
info registers pc a0 a1
stepi
thread 1
# Behind a page table: 0x40000000 is where memory is, and memory is there, too.
break *0x80200066
continue
info registers satp fa0
set $fa0 = 1.5
p $fa0
set $mscratch = 0x1234
p/x $mscratch
x/4i 0x40200000
x/1gx 0x40202000
maintenance packet qqemu.PhyMemMode
maintenance packet Qqemu.PhyMemMode:1
maintenance flush dcache
x/1wx 0x100000
x/1wx 0x80200000
maintenance packet Qqemu.PhyMemMode:0
maintenance flush dcache
x/1wx 0x80200000
delete
watch *(long*)0x80202000
continue
continue
p/x $t3
delete
rwatch *(long*)0x80202000
continue
delete
monitor info status
monitor info mem
monitor gva2gpa 0x40202000
monitor gva2gpa 0x1000
monitor info registers
reverse-stepi
reverse-stepi
p/x $pc
break *0x8020002a
reverse-continue
set $priv = 3
p $priv
stepi
detach
