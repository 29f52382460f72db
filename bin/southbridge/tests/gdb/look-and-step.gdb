info registers
info threads
x/4xw 0
x/1xw 0xe000ed00
x/1xw 0x40004010
stepi
stepi
p $sp
set $r5 = 0x1234
p/x $r5
set {int}0x20001000 = 77
p {int}0x20001000
p/x {int}0x22020000
monitor help savevm
monitor info registers
monitor system_reset
maintenance flush register-cache
p $pc
compare-sections
load
break main
continue
info registers pc xpsr msp psp control primask basepri faultmask
kill
