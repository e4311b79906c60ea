//! Medians, their ratios, and the table of them.

use std::fmt;

use crate::load::Taken;

/// One row: what is compared with what is wanted.
pub struct Row {
    name: &'static str,
    throughput: f64,
    processor: Option<f64>,
    theirs: Vec<Taken>,
    ours: Vec<Taken>,
}

impl Row {
    pub fn new(name: &'static str, throughput: f64, processor: Option<f64>) -> Self {
        Self { name, throughput, processor, theirs: Vec::new(), ours: Vec::new() }
    }

    pub fn add(&mut self, theirs: Taken, ours: Taken) {
        self.theirs.push(theirs);
        self.ours.push(ours);
    }

    /// As it stands in the table.
    pub fn line(&self) -> String {
        let rate = |runs: &[Taken]| median(runs.iter().map(|taken| taken.rate));
        let processor = |runs: &[Taken]| median(runs.iter().map(|taken| taken.processor));
        let throughput = rate(&self.ours) / rate(&self.theirs);
        let share = processor(&self.theirs) / processor(&self.ours);
        let wanted = self.processor.map_or_else(String::new, |share| format!(", CPU 1/{:.0}", 1.0 / share));
        let met = throughput >= self.throughput && self.processor.is_none_or(|wanted| share >= 1.0 / wanted);
        format!(
            "| {} | {:.0}/s, {:.0} us | {:.0}/s, {:.0} us | {throughput:.1} x, CPU 1/{share:.1} | {:.1} x{wanted} | {} |",
            self.name,
            rate(&self.theirs),
            processor(&self.theirs) * 1e6,
            rate(&self.ours),
            processor(&self.ours) * 1e6,
            self.throughput,
            if met { "yes" } else { "no" }
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (Some(before), Some(at)) if values.len().is_multiple_of(2) => f64::midpoint(*before, *at),
        (_, at) => at.copied().unwrap_or(f64::NAN),
    }
}

#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn add(&mut self, row: Row) {
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| work | Postfix, plain relay | Sealpost | ratio | target | met |\n|---|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{}", row.line()))
    }
}
