break check_equal
continue
continue
continue
p *(int*)0x20000208
reverse-stepi
reverse-continue
p *(int*)0x20000208
delete
watch *(int*)0x20000208
reverse-continue
p *(int*)0x20000208
reverse-continue
reverse-continue
delete
break SVC_Handler
continue
reverse-stepi
p $xpsr & 0x1ff
stepi
reverse-continue
delete
continue
