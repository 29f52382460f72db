//! The analog-to-digital converter: offsets and bits. LM3S6965 data sheet, chapter "Analog-to-Digital Converter (ADC)".

use southbridge_core::Register;

pub(crate) const ACTSS: u64 = 0x00;
pub(crate) const RIS: u64 = 0x04;
pub(crate) const IM: u64 = 0x08;
pub(crate) const ISC: u64 = 0x0c;
pub(crate) const OSTAT: u64 = 0x10;
pub(crate) const EMUX: u64 = 0x14;
pub(crate) const USTAT: u64 = 0x18;
pub(crate) const SSPRI: u64 = 0x20;
pub(crate) const PSSI: u64 = 0x28;
pub(crate) const SAC: u64 = 0x30;
/// First register of sequencer 0; the others follow at [`SEQUENCER_STRIDE`].
pub(crate) const SEQUENCER: u64 = 0x40;
pub(crate) const SEQUENCER_STRIDE: u64 = 0x20;
/// In a sequencer: inputs of its steps.
pub(crate) const SSMUX: u64 = 0x00;
/// In a sequencer: what its steps do.
pub(crate) const SSCTL: u64 = 0x04;
/// In a sequencer: the oldest result.
pub(crate) const SSFIFO: u64 = 0x08;
/// In a sequencer: state of its FIFO.
pub(crate) const SSFSTAT: u64 = 0x0c;
pub(crate) const TMLB: u64 = 0x100;

/// The register table for the bus.
pub(crate) static REGISTERS: &[Register] = &[
    Register::rw(ACTSS, "ADCACTSS"),
    Register::ro(RIS, "ADCRIS"),
    Register::rw(IM, "ADCIM"),
    Register::rw(ISC, "ADCISC"),
    Register::rw(OSTAT, "ADCOSTAT"),
    Register::rw(EMUX, "ADCEMUX"),
    Register::rw(USTAT, "ADCUSTAT"),
    Register::rw(SSPRI, "ADCSSPRI"),
    Register::wo(PSSI, "ADCPSSI"),
    Register::rw(SAC, "ADCSAC"),
    Register::rw(SEQUENCER + SSMUX, "ADCSSMUX0-ADCSSMUX3").times(4, 0x20),
    Register::rw(SEQUENCER + SSCTL, "ADCSSCTL0-ADCSSCTL3").times(4, 0x20),
    Register::ro(SEQUENCER + SSFIFO, "ADCSSFIFO0-ADCSSFIFO3").times(4, 0x20),
    Register::ro(SEQUENCER + SSFSTAT, "ADCSSFSTAT0-ADCSSFSTAT3").times(4, 0x20),
    Register::rw(TMLB, "ADCTMLB"),
];

/// Sequencers.
pub(crate) const SEQUENCERS: usize = 4;
/// Steps and FIFO entries of each sequencer.
pub(crate) const DEPTH: [usize; SEQUENCERS] = [8, 4, 4, 1];

/// EMUX: started by PSSI.
pub(crate) const EM_PROCESSOR: u32 = 0;
/// EMUX: starts again and again.
pub(crate) const EM_ALWAYS: u32 = 0xf;

/// SSCTL, in a step's nibble: difference of two inputs.
pub(crate) const STEP_DIFFERENTIAL: u32 = 1;
/// SSCTL, in a step's nibble: the last step.
pub(crate) const STEP_END: u32 = 1 << 1;
/// SSCTL, in a step's nibble: interrupt after it.
pub(crate) const STEP_INTERRUPT: u32 = 1 << 2;
/// SSCTL, in a step's nibble: the temperature sensor instead of an input.
pub(crate) const STEP_TEMPERATURE: u32 = 1 << 3;

/// SSFSTAT.
pub(crate) const FIFO_EMPTY: u32 = 1 << 8;
pub(crate) const FIFO_FULL: u32 = 1 << 12;

/// SSPRI at reset: sequencer 0 first.
pub(crate) const SSPRI_RESET: u32 = 0x3210;
pub(crate) const SSPRI_MASK: u32 = 0x3333;
/// SAC: largest exponent of the number of samples in an average.
pub(crate) const SAC_MAX: u32 = 6;

/// Time of one conversion at the 1 million samples per second of this part, in nanoseconds.
pub(crate) const SAMPLE_NS: u64 = 1000;
/// What the open inputs give, before noise: half of the scale.
pub(crate) const IDLE_INPUT: u32 = 0x200;
/// What the temperature sensor gives at 25 °C: 2.7 V − (25 + 55) / 75 V on a scale of 3 V (section "Internal Temperature Sensor").
pub(crate) const ROOM_TEMPERATURE: u32 = 557;
