//! Encodings of streams, written down from the manuals apart from the engine's tables, so that a slip there shows here.
//!
//! Letters of a picture: `d` an integer destination, `a` and `b` integer sources, `D` `A` `B` `C` floating-point registers, `p` a register
//! that points into data, `u` one that an instruction before has pointed somewhere, `m` a rounding mode, `i` anything. In 16-bit
//! instructions `e` and `f` are x8 to x15 as source and destination, `q` one of x8 and x9 (which point into data), `F` any of f8 to f15.

use crate::picture::Picture;

/// A name and how it is encoded.
pub type Form = (&'static str, Picture);

macro_rules! forms {
    ($($name:literal $picture:literal;)+) => { &[$(($name, Picture($picture)),)+] };
}

/// Registers to registers.
pub static PLAIN: &[Form] = forms! {
    "lui" "iiiiiiiiiiiiiiiiiiii ddddd 0110111";
    "auipc" "iiiiiiiiiiiiiiiiiiii ddddd 0010111";
    "addi" "iiiiiiiiiiii aaaaa 000 ddddd 0010011";
    "slti" "iiiiiiiiiiii aaaaa 010 ddddd 0010011";
    "sltiu" "iiiiiiiiiiii aaaaa 011 ddddd 0010011";
    "xori" "iiiiiiiiiiii aaaaa 100 ddddd 0010011";
    "ori" "iiiiiiiiiiii aaaaa 110 ddddd 0010011";
    "andi" "iiiiiiiiiiii aaaaa 111 ddddd 0010011";
    "slli" "000000 iiiiii aaaaa 001 ddddd 0010011";
    "srli" "000000 iiiiii aaaaa 101 ddddd 0010011";
    "srai" "010000 iiiiii aaaaa 101 ddddd 0010011";
    "addiw" "iiiiiiiiiiii aaaaa 000 ddddd 0011011";
    "slliw" "0000000 iiiii aaaaa 001 ddddd 0011011";
    "srliw" "0000000 iiiii aaaaa 101 ddddd 0011011";
    "sraiw" "0100000 iiiii aaaaa 101 ddddd 0011011";
    "add" "0000000 bbbbb aaaaa 000 ddddd 0110011";
    "sub" "0100000 bbbbb aaaaa 000 ddddd 0110011";
    "sll" "0000000 bbbbb aaaaa 001 ddddd 0110011";
    "slt" "0000000 bbbbb aaaaa 010 ddddd 0110011";
    "sltu" "0000000 bbbbb aaaaa 011 ddddd 0110011";
    "xor" "0000000 bbbbb aaaaa 100 ddddd 0110011";
    "srl" "0000000 bbbbb aaaaa 101 ddddd 0110011";
    "sra" "0100000 bbbbb aaaaa 101 ddddd 0110011";
    "or" "0000000 bbbbb aaaaa 110 ddddd 0110011";
    "and" "0000000 bbbbb aaaaa 111 ddddd 0110011";
    "addw" "0000000 bbbbb aaaaa 000 ddddd 0111011";
    "subw" "0100000 bbbbb aaaaa 000 ddddd 0111011";
    "sllw" "0000000 bbbbb aaaaa 001 ddddd 0111011";
    "srlw" "0000000 bbbbb aaaaa 101 ddddd 0111011";
    "sraw" "0100000 bbbbb aaaaa 101 ddddd 0111011";
    "mul" "0000001 bbbbb aaaaa 000 ddddd 0110011";
    "mulh" "0000001 bbbbb aaaaa 001 ddddd 0110011";
    "mulhsu" "0000001 bbbbb aaaaa 010 ddddd 0110011";
    "mulhu" "0000001 bbbbb aaaaa 011 ddddd 0110011";
    "div" "0000001 bbbbb aaaaa 100 ddddd 0110011";
    "divu" "0000001 bbbbb aaaaa 101 ddddd 0110011";
    "rem" "0000001 bbbbb aaaaa 110 ddddd 0110011";
    "remu" "0000001 bbbbb aaaaa 111 ddddd 0110011";
    "mulw" "0000001 bbbbb aaaaa 000 ddddd 0111011";
    "divw" "0000001 bbbbb aaaaa 100 ddddd 0111011";
    "divuw" "0000001 bbbbb aaaaa 101 ddddd 0111011";
    "remw" "0000001 bbbbb aaaaa 110 ddddd 0111011";
    "remuw" "0000001 bbbbb aaaaa 111 ddddd 0111011";
    "add.uw" "0000100 bbbbb aaaaa 000 ddddd 0111011";
    "sh1add" "0010000 bbbbb aaaaa 010 ddddd 0110011";
    "sh2add" "0010000 bbbbb aaaaa 100 ddddd 0110011";
    "sh3add" "0010000 bbbbb aaaaa 110 ddddd 0110011";
    "sh1add.uw" "0010000 bbbbb aaaaa 010 ddddd 0111011";
    "sh2add.uw" "0010000 bbbbb aaaaa 100 ddddd 0111011";
    "sh3add.uw" "0010000 bbbbb aaaaa 110 ddddd 0111011";
    "slli.uw" "000010 iiiiii aaaaa 001 ddddd 0011011";
    "andn" "0100000 bbbbb aaaaa 111 ddddd 0110011";
    "orn" "0100000 bbbbb aaaaa 110 ddddd 0110011";
    "xnor" "0100000 bbbbb aaaaa 100 ddddd 0110011";
    "clz" "0110000 00000 aaaaa 001 ddddd 0010011";
    "ctz" "0110000 00001 aaaaa 001 ddddd 0010011";
    "cpop" "0110000 00010 aaaaa 001 ddddd 0010011";
    "sext.b" "0110000 00100 aaaaa 001 ddddd 0010011";
    "sext.h" "0110000 00101 aaaaa 001 ddddd 0010011";
    "zext.h" "0000100 00000 aaaaa 100 ddddd 0111011";
    "clzw" "0110000 00000 aaaaa 001 ddddd 0011011";
    "ctzw" "0110000 00001 aaaaa 001 ddddd 0011011";
    "cpopw" "0110000 00010 aaaaa 001 ddddd 0011011";
    "min" "0000101 bbbbb aaaaa 100 ddddd 0110011";
    "minu" "0000101 bbbbb aaaaa 101 ddddd 0110011";
    "max" "0000101 bbbbb aaaaa 110 ddddd 0110011";
    "maxu" "0000101 bbbbb aaaaa 111 ddddd 0110011";
    "rol" "0110000 bbbbb aaaaa 001 ddddd 0110011";
    "ror" "0110000 bbbbb aaaaa 101 ddddd 0110011";
    "rori" "011000 iiiiii aaaaa 101 ddddd 0010011";
    "rolw" "0110000 bbbbb aaaaa 001 ddddd 0111011";
    "rorw" "0110000 bbbbb aaaaa 101 ddddd 0111011";
    "roriw" "0110000 iiiii aaaaa 101 ddddd 0011011";
    "orc.b" "0010100 00111 aaaaa 101 ddddd 0010011";
    "rev8" "0110101 11000 aaaaa 101 ddddd 0010011";
    "clmul" "0000101 bbbbb aaaaa 001 ddddd 0110011";
    "clmulr" "0000101 bbbbb aaaaa 010 ddddd 0110011";
    "clmulh" "0000101 bbbbb aaaaa 011 ddddd 0110011";
    "bclr" "0100100 bbbbb aaaaa 001 ddddd 0110011";
    "bext" "0100100 bbbbb aaaaa 101 ddddd 0110011";
    "binv" "0110100 bbbbb aaaaa 001 ddddd 0110011";
    "bset" "0010100 bbbbb aaaaa 001 ddddd 0110011";
    "bclri" "010010 iiiiii aaaaa 001 ddddd 0010011";
    "bexti" "010010 iiiiii aaaaa 101 ddddd 0010011";
    "binvi" "011010 iiiiii aaaaa 001 ddddd 0010011";
    "bseti" "001010 iiiiii aaaaa 001 ddddd 0010011";
    "czero.eqz" "0000111 bbbbb aaaaa 101 ddddd 0110011";
    "czero.nez" "0000111 bbbbb aaaaa 111 ddddd 0110011";
    "fence" "0000iiiiiiii 00000 000 00000 0001111";
    "fence.i" "000000000000 00000 001 00000 0001111";
    "pause" "0000 0001 0000 00000 000 00000 0001111";
};

/// Floating point between registers. `w` is the format: 0 single, 1 double, 2 half.
pub static FLOAT: &[Form] = forms! {
    "fadd" "00000 ww BBBBB AAAAA mmm DDDDD 1010011";
    "fsub" "00001 ww BBBBB AAAAA mmm DDDDD 1010011";
    "fmul" "00010 ww BBBBB AAAAA mmm DDDDD 1010011";
    "fdiv" "00011 ww BBBBB AAAAA mmm DDDDD 1010011";
    "fsqrt" "01011 ww 00000 AAAAA mmm DDDDD 1010011";
    "fmadd" "CCCCC ww BBBBB AAAAA mmm DDDDD 1000011";
    "fmsub" "CCCCC ww BBBBB AAAAA mmm DDDDD 1000111";
    "fnmsub" "CCCCC ww BBBBB AAAAA mmm DDDDD 1001011";
    "fnmadd" "CCCCC ww BBBBB AAAAA mmm DDDDD 1001111";
    "fsgnj" "00100 ww BBBBB AAAAA 000 DDDDD 1010011";
    "fsgnjn" "00100 ww BBBBB AAAAA 001 DDDDD 1010011";
    "fsgnjx" "00100 ww BBBBB AAAAA 010 DDDDD 1010011";
    "fmin" "00101 ww BBBBB AAAAA 000 DDDDD 1010011";
    "fmax" "00101 ww BBBBB AAAAA 001 DDDDD 1010011";
    "fle" "10100 ww BBBBB AAAAA 000 ddddd 1010011";
    "flt" "10100 ww BBBBB AAAAA 001 ddddd 1010011";
    "feq" "10100 ww BBBBB AAAAA 010 ddddd 1010011";
    "fclass" "11100 ww 00000 AAAAA 001 ddddd 1010011";
    "fcvt.w" "11000 ww 00000 AAAAA mmm ddddd 1010011";
    "fcvt.wu" "11000 ww 00001 AAAAA mmm ddddd 1010011";
    "fcvt.l" "11000 ww 00010 AAAAA mmm ddddd 1010011";
    "fcvt.lu" "11000 ww 00011 AAAAA mmm ddddd 1010011";
    "fcvt.w to" "11010 ww 00000 aaaaa mmm DDDDD 1010011";
    "fcvt.wu to" "11010 ww 00001 aaaaa mmm DDDDD 1010011";
    "fcvt.l to" "11010 ww 00010 aaaaa mmm DDDDD 1010011";
    "fcvt.lu to" "11010 ww 00011 aaaaa mmm DDDDD 1010011";
    "fmv.x" "11100 ww 00000 AAAAA 000 ddddd 1010011";
    "fmv to" "11110 ww 00000 aaaaa 000 DDDDD 1010011";
    "fcvt.s.d" "01000 00 00001 AAAAA mmm DDDDD 1010011";
    "fcvt.d.s" "01000 01 00000 AAAAA mmm DDDDD 1010011";
    "fcvt.s.h" "01000 00 00010 AAAAA mmm DDDDD 1010011";
    "fcvt.h.s" "01000 10 00000 AAAAA mmm DDDDD 1010011";
    "fcvt.d.h" "01000 01 00010 AAAAA mmm DDDDD 1010011";
    "fcvt.h.d" "01000 10 00001 AAAAA mmm DDDDD 1010011";
};

/// Loads and stores at an immediate's distance from a pointer.
pub static MEMORY: &[Form] = forms! {
    "lb" "iiiiiiiiiiii ppppp 000 ddddd 0000011";
    "lh" "iiiiiiiiiiii ppppp 001 ddddd 0000011";
    "lw" "iiiiiiiiiiii ppppp 010 ddddd 0000011";
    "ld" "iiiiiiiiiiii ppppp 011 ddddd 0000011";
    "lbu" "iiiiiiiiiiii ppppp 100 ddddd 0000011";
    "lhu" "iiiiiiiiiiii ppppp 101 ddddd 0000011";
    "lwu" "iiiiiiiiiiii ppppp 110 ddddd 0000011";
    "sb" "iiiiiii bbbbb ppppp 000 iiiii 0100011";
    "sh" "iiiiiii bbbbb ppppp 001 iiiii 0100011";
    "sw" "iiiiiii bbbbb ppppp 010 iiiii 0100011";
    "sd" "iiiiiii bbbbb ppppp 011 iiiii 0100011";
    "flh" "iiiiiiiiiiii ppppp 001 DDDDD 0000111";
    "flw" "iiiiiiiiiiii ppppp 010 DDDDD 0000111";
    "fld" "iiiiiiiiiiii ppppp 011 DDDDD 0000111";
    "fsh" "iiiiiii BBBBB ppppp 001 iiiii 0100111";
    "fsw" "iiiiiii BBBBB ppppp 010 iiiii 0100111";
    "fsd" "iiiiiii BBBBB ppppp 011 iiiii 0100111";
    "prefetch.i" "iiiiiii 00000 ppppp 110 00000 0010011";
};

/// What accesses the very address in a register. `j` is a pair of registers.
pub static POINTED: &[Form] = forms! {
    "lr.w" "00010 ii 00000 uuuuu 010 ddddd 0101111";
    "lr.d" "00010 ii 00000 uuuuu 011 ddddd 0101111";
    "sc.w" "00011 ii bbbbb uuuuu 010 ddddd 0101111";
    "sc.d" "00011 ii bbbbb uuuuu 011 ddddd 0101111";
    "amoswap.w" "00001 ii bbbbb uuuuu 010 ddddd 0101111";
    "amoadd.w" "00000 ii bbbbb uuuuu 010 ddddd 0101111";
    "amoxor.w" "00100 ii bbbbb uuuuu 010 ddddd 0101111";
    "amoand.w" "01100 ii bbbbb uuuuu 010 ddddd 0101111";
    "amoor.w" "01000 ii bbbbb uuuuu 010 ddddd 0101111";
    "amomin.w" "10000 ii bbbbb uuuuu 010 ddddd 0101111";
    "amomax.w" "10100 ii bbbbb uuuuu 010 ddddd 0101111";
    "amominu.w" "11000 ii bbbbb uuuuu 010 ddddd 0101111";
    "amomaxu.w" "11100 ii bbbbb uuuuu 010 ddddd 0101111";
    "amoswap.d" "00001 ii bbbbb uuuuu 011 ddddd 0101111";
    "amoadd.d" "00000 ii bbbbb uuuuu 011 ddddd 0101111";
    "amoxor.d" "00100 ii bbbbb uuuuu 011 ddddd 0101111";
    "amoand.d" "01100 ii bbbbb uuuuu 011 ddddd 0101111";
    "amoor.d" "01000 ii bbbbb uuuuu 011 ddddd 0101111";
    "amomin.d" "10000 ii bbbbb uuuuu 011 ddddd 0101111";
    "amomax.d" "10100 ii bbbbb uuuuu 011 ddddd 0101111";
    "amominu.d" "11000 ii bbbbb uuuuu 011 ddddd 0101111";
    "amomaxu.d" "11100 ii bbbbb uuuuu 011 ddddd 0101111";
    "amocas.w" "00101 ii bbbbb uuuuu 010 ddddd 0101111";
    "amocas.d" "00101 ii bbbbb uuuuu 011 ddddd 0101111";
    "amocas.q" "00101 ii jjjj0 uuuuu 100 ddddd 0101111";
    "cbo.inval" "000000000000 uuuuu 010 00000 0001111";
    "cbo.clean" "000000000001 uuuuu 010 00000 0001111";
    "cbo.flush" "000000000010 uuuuu 010 00000 0001111";
    "cbo.zero" "000000000100 uuuuu 010 00000 0001111";
};

/// System instructions that anything may meet; where they are not allowed they trap.
pub static SYSTEM: &[Form] = forms! {
    "ecall" "000000000000 00000 000 00000 1110011";
    "ebreak" "000000000001 00000 000 00000 1110011";
    "wfi" "0001000 00101 00000 000 00000 1110011";
    "wrs.nto" "000000001101 00000 000 00000 1110011";
    "wrs.sto" "000000011101 00000 000 00000 1110011";
    "sfence.vma" "0001001 bbbbb aaaaa 000 00000 1110011";
    "sinval.vma" "0001011 bbbbb aaaaa 000 00000 1110011";
    "sfence.w.inval" "0001100 00000 00000 000 00000 1110011";
    "sfence.inval.ir" "0001100 00001 00000 000 00000 1110011";
};

/// Conditional branches; `t` is the target.
pub static BRANCHES: &[Form] = forms! {
    "beq" "ttttttt bbbbb aaaaa 000 ttttt 1100011";
    "bne" "ttttttt bbbbb aaaaa 001 ttttt 1100011";
    "blt" "ttttttt bbbbb aaaaa 100 ttttt 1100011";
    "bge" "ttttttt bbbbb aaaaa 101 ttttt 1100011";
    "bltu" "ttttttt bbbbb aaaaa 110 ttttt 1100011";
    "bgeu" "ttttttt bbbbb aaaaa 111 ttttt 1100011";
};

/// 16 bits.
pub static SHORT: &[Form] = forms! {
    "c.addi4spn" "000 iiiiiiii fff 00";
    "c.fld" "001 iii qqq ii FFF 00";
    "c.lw" "010 iii qqq ii fff 00";
    "c.ld" "011 iii qqq ii fff 00";
    "c.fsd" "101 iii qqq ii FFF 00";
    "c.sw" "110 iii qqq ii eee 00";
    "c.sd" "111 iii qqq ii eee 00";
    "c.addi" "000 i ddddd iiiii 01";
    "c.addiw" "001 i ddddd iiiii 01";
    "c.li" "010 i ddddd iiiii 01";
    "c.lui" "011 i ddddd iiiii 01";
    "c.srli" "100 i 00 fff iiiii 01";
    "c.srai" "100 i 01 fff iiiii 01";
    "c.andi" "100 i 10 fff iiiii 01";
    "c.sub" "100 0 11 fff 00 eee 01";
    "c.xor" "100 0 11 fff 01 eee 01";
    "c.or" "100 0 11 fff 10 eee 01";
    "c.and" "100 0 11 fff 11 eee 01";
    "c.subw" "100 1 11 fff 00 eee 01";
    "c.addw" "100 1 11 fff 01 eee 01";
    "c.slli" "000 i ddddd iiiii 10";
    "c.fldsp" "001 i DDDDD iiiii 10";
    "c.lwsp" "010 i ddddd iiiii 10";
    "c.ldsp" "011 i ddddd iiiii 10";
    "c.mv" "100 0 ddddd bbbbb 10";
    "c.add" "100 1 ddddd bbbbb 10";
    "c.fsdsp" "101 iiiiii BBBBB 10";
    "c.swsp" "110 iiiiii bbbbb 10";
    "c.sdsp" "111 iiiiii bbbbb 10";
    "c.ebreak" "100 1 00000 00000 10";
};
