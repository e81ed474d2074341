//! `hecc inspect --stage rewrite --explain`, and circuits that come as text.

use super::args::{FormatArg, InspectArgs, StageArg};
use super::form::Form;
use super::session::{self, Built};
use super::{files, inspect, problems};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use hecc::cost::Nominal;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label, Source};
use hecc::rewrite::{Account, Objective, account, rewrite};
use hecc::schedule::{Policy, assign_levels, place_rescales};
use hecc::validate::validate;
use hecc_ir::{Circuit, Level, Stage, text};
use serde_json::json;

/// What the rules found in a model and what each saves.
pub fn explain(built: &Built, args: &InspectArgs, form: Form) -> Result<(), Diagnostics> {
    let target = session::target_of(&args.model)?;
    let (compiled, objective) = (&built.compiled, session::objective(args.model.optimize));
    let nominal = compiled.nominal(&target).expect("it was compiled for a ring of the target");
    print(&account(&compiled.lowered, &nominal, objective.unwrap_or_default()), form);
    Ok(())
}

fn print(account: &Account, form: Form) {
    form.result(&json!(account), || table(account));
}

fn table(account: &Account) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["rule", "equalities", "saves, us", "equation"]);
    for (fired, saved) in account.saturation.fired.iter().zip(&account.saved_ns) {
        let saved = format!("{:.0}", saved * 1e-3);
        table.add_row([fired.rule, &fired.count.to_string(), &saved, fired.equation]);
    }
    let saturation = &account.saturation;
    let end = if saturation.is_bounded { "stopped at a bound" } else { "nothing new was left to find" };
    let names = ["as lowered", "after the e-graph", "after turning"];
    let prints = names.iter().zip(&account.footprints).map(|(name, footprint)| {
        let (ms, kib) = (footprint.ns * 1e-6, footprint.bytes >> 10);
        format!("{name:18} {ms:9.2} ms, {kib} KiB of keys and plaintexts\n")
    });
    format!(
        "{table}\n{} nodes became {} in {} classes, {} rounds; {end}\n{}",
        saturation.nodes_before,
        saturation.nodes,
        saturation.classes,
        saturation.rounds,
        prints.collect::<String>(),
    )
}

/// Prints a circuit that comes as text, or what rewriting makes of it.
pub fn inspect_text(args: &InspectArgs, form: Form, format: FormatArg) -> Result<(), Diagnostics> {
    let circuit = read(args)?;
    if args.stage != StageArg::Rewrite {
        inspect::print_circuit(&circuit, format, args.constants);
        return Ok(());
    }
    let nominal = nominal_for(&circuit, args)?;
    let objective = session::objective(args.model.optimize).unwrap_or_default();
    if args.explain {
        print(&account(&circuit, &nominal, objective), form);
        return Ok(());
    }
    inspect::print_circuit(&rewritten(&circuit, &nominal, objective, args)?, format, args.constants);
    Ok(())
}

fn rewritten(
    circuit: &Circuit,
    nominal: &Nominal,
    objective: Objective,
    args: &InspectArgs,
) -> Result<Circuit, Diagnostics> {
    let rewritten = rewrite(circuit, nominal, objective).circuit;
    let element = |input: &hecc_ir::Input, i: usize| {
        let (low, high) = input.range;
        low + (high - low) * (i % 17) as f64 / 16.0
    };
    let tensor = |input: &hecc_ir::Input| (0..input.layout.home.len()).map(|i| element(input, i)).collect();
    let tensors: Vec<Vec<f64>> = circuit.inputs.iter().map(tensor).collect();
    if !args.model.no_validate {
        let file = args.model.model.display().to_string();
        validate("rewrite", circuit, &rewritten, &tensors)
            .map_err(|mismatch| problems::changed_meaning(&file, &mismatch))?;
    }
    Ok(rewritten)
}

fn read(args: &InspectArgs) -> Result<Circuit, Diagnostics> {
    let path = &args.model.model;
    let contents = String::from_utf8_lossy(&files::read(path)?).into_owned();
    let source = Source::new(path.display().to_string(), contents.clone());
    text::parse(&contents).map_err(|errors| {
        let mut found = Diagnostics::new();
        for error in errors {
            let label = Label::text(&source, error.span.into(), error.message);
            let title = format!("this is not a valid circuit ({})", error.code);
            found.push(Diagnostic::error(Code::BadCircuit, title).label(label));
        }
        found
    })
}

/// Prices on the ring that has as many slots, or on the smallest with other slots.
fn nominal_for(circuit: &Circuit, args: &InspectArgs) -> Result<Nominal, Diagnostics> {
    let file = args.model.model.display().to_string();
    if circuit.stage != Stage::Abstract {
        let title = "a circuit with levels cannot be rewritten";
        let help = "take the circuit of an earlier stage: `--stage lowered --constants`";
        return Err(Diagnostic::error(Code::BadCircuit, title)
            .label(Label::file(file, ""))
            .help(help)
            .into());
    }
    let target = session::target_of(&args.model)?;
    let ring = target.ring(2 * circuit.n_slots).unwrap_or(&target.rings[0]);
    let placed = place_rescales(circuit, Policy::Early);
    Ok(Nominal::new(ring, assign_levels(&placed, Level(0)).depth() as usize))
}
