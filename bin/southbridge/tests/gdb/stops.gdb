break main
hbreak check
continue
continue
backtrace 1
delete
watch *(int*)0x20000208
continue
continue
delete
rwatch *(int*)0x20000208
continue
awatch *(int*)0x20000208
continue
delete
break HardFault_Handler
continue
info registers pc xpsr
delete
continue
