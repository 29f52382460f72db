info mem
load
break main
continue
info registers pc
detach
