//! What a benchmark has to say: ours, the peer or limit of the same run, the goal and whether it is met.

use serde_json::{Value, json};

use crate::stats::Series;

/// What is aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Median below this, in the row's unit.
    Below(f64),
    /// Median above this, in the row's unit.
    Above(f64),
    /// Median at most so many times the peer's.
    TimesPeer(f64),
    /// Median at least so many times the peer's.
    AtLeastTimesPeer(f64),
    /// For the reader to judge.
    None,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Our numbers.
    pub(crate) ours: Series,
    /// What stands beside it, with its numbers.
    pub(crate) peer: Option<(String, Series)>,
    /// What is aimed at.
    pub(crate) goal: Goal,
}

impl Row {
    /// A row without a peer or goal yet.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, ours: Series) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            peer: None,
            goal: Goal::None,
        }
    }

    /// Puts a peer or a limit beside it.
    pub(crate) fn beside(mut self, name: impl Into<String>, peer: Series) -> Self {
        self.peer = (!peer.is_empty()).then(|| (name.into(), peer));
        self
    }

    /// Sets the goal.
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, p)| self.ours.median() / p.median())
    }

    /// Whether the goal is met; `None` where there is none or nothing to compare with.
    pub(crate) fn met(&self) -> Option<bool> {
        let m = self.ours.median();
        match self.goal {
            Goal::Below(limit) => Some(m < limit),
            Goal::Above(limit) => Some(m > limit),
            Goal::TimesPeer(times) => self.ratio().map(|r| r <= times),
            Goal::AtLeastTimesPeer(times) => self.ratio().map(|r| r >= times),
            Goal::None => None,
        }
    }

    fn goal_text(&self) -> String {
        match self.goal {
            Goal::Below(limit) => format!("< {limit} {}", self.unit),
            Goal::Above(limit) => format!("> {limit} {}", self.unit),
            Goal::TimesPeer(times) => format!("<= {times} x"),
            Goal::AtLeastTimesPeer(times) => format!(">= {times} x"),
            Goal::None => "-".into(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let (name, peer) = match &self.peer {
            Some((name, series)) => (name.as_str(), span(series, self.unit)),
            None => ("", "-".into()),
        };
        [
            self.what.clone(),
            span(&self.ours, self.unit),
            format!("{name} {peer}").trim().to_owned(),
            self.ratio().map_or("-".into(), |r| format!("{r:.2}")),
            self.goal_text(),
            match self.met() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "-",
            }
            .into(),
        ]
    }

    fn json(&self) -> Value {
        let series = |s: &Series| json!({"median": s.median(), "min": s.min(), "max": s.max()});
        json!({
            "what": self.what,
            "unit": self.unit,
            "ours": series(&self.ours),
            "peer": self.peer.as_ref().map(|(name, s)| json!({"name": name, "values": series(s)})),
            "ratio": self.ratio(),
            "goal": self.goal_text(),
            "met": self.met(),
        })
    }
}

fn span(s: &Series, unit: &str) -> String {
    format!(
        "{} {unit} ({}..{})",
        digits(s.median()),
        digits(s.min()),
        digits(s.max())
    )
}

fn digits(v: f64) -> String {
    match v {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// The table, as Markdown that also reads well as it is.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["what", "ours: median (min..max)", "beside", "ratio", "goal", ""].map(str::to_owned);
    let cells: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |i: usize| cells.iter().map(|c| c[i].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for (n, row) in cells.iter().enumerate() {
        for (cell, w) in row.iter().zip(widths) {
            text += &format!("| {cell:w$} ");
        }
        text += "|\n";
        if n == 0 {
            for w in widths {
                text += &format!("|{}", "-".repeat(w + 2));
            }
            text += "|\n";
        }
    }
    text
}

/// The same for programs: one object a line.
pub(crate) fn json_lines(rows: &[Row]) -> String {
    rows.iter().map(|r| r.json().to_string() + "\n").collect()
}
