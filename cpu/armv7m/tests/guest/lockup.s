@ A fault in HardFault locks up; NMI still gets through and its return goes back to lockup.
    .include "common.inc"
    vectors hard=hard
handler start
    say 1
    .hword 0xde00
handler hard
    say 2
    .hword 0xde00
    .ltorg
