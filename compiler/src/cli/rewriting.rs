//! `hecc inspect --stage rewrite --explain`, and circuits that come as text.

use super::args::{FormatArg, InspectArgs, StageArg};
use super::form::Form;
use super::session::{self, Built};
use super::{files, inspect, problems, show};
use hecc::cost::Nominal;
use hecc::diag::{Code, Diagnostic, Diagnostics, Label, Source};
use hecc::rewrite::{Account, Objective, Rewritten, account, explain_value, rewrite};
use hecc::schedule::{Policy, assign_levels, place_rescales};
use hecc::validate::{spread, validate};
use hecc_ir::{Circuit, Level, Stage, Value, text};
use serde_json::json;

/// What the rules found in a model and what each saves, or why one value is equal.
pub fn explain(built: &Built, args: &InspectArgs, form: Form) -> Result<(), Diagnostics> {
    let nominal =
        built.compiled.nominal(&built.options.target).expect("it was compiled for a ring of the target");
    explain_circuit(&built.compiled.lowered, &nominal, args, form)
}

/// True when the circuit itself is not what was asked for.
pub fn explains(args: &InspectArgs) -> bool {
    args.explain || args.explain_value.is_some()
}

fn explain_circuit(
    circuit: &Circuit,
    nominal: &Nominal,
    args: &InspectArgs,
    form: Form,
) -> Result<(), Diagnostics> {
    let Some(index) = args.explain_value else {
        let account = account(circuit, nominal, session::objective(args.model.optimize).unwrap_or_default());
        form.result(&json!(account), || table(&account));
        return Ok(());
    };
    if index >= circuit.nodes.len() {
        let title = format!("there is no value %{index}");
        let help = format!("the stage `lowered` has {} values, from %0 on", circuit.nodes.len());
        return Err(Diagnostic::error(Code::BadArguments, title)
            .label(Label::file("command line", ""))
            .help(help)
            .into());
    }
    let explanation = explain_value(circuit, nominal, Value::new(index))
        .unwrap_or_else(|| String::from("the e-graph is too large to choose from: nothing was changed"));
    form.result(&json!({ "value": index, "explanation": explanation }), || format!("{explanation}\n"));
    Ok(())
}

fn table(account: &Account) -> String {
    let mut table = show::new_table();
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
        format!("{name:18} {ms:9.2} ms, {kib} KiB of memory\n")
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
    if args.stage != StageArg::Rewrite && !explains(args) {
        inspect::print_circuit(&circuit, format, args.constants);
        return Ok(());
    }
    let nominal = nominal_for(&circuit, args)?;
    if explains(args) {
        return explain_circuit(&circuit, &nominal, args, form);
    }
    let circuit = match session::objective(args.model.optimize) {
        Some(objective) => rewritten(&circuit, &nominal, objective, args, form)?,
        None => circuit,
    };
    inspect::print_circuit(&circuit, format, args.constants);
    Ok(())
}

fn rewritten(
    circuit: &Circuit,
    nominal: &Nominal,
    objective: Objective,
    args: &InspectArgs,
    form: Form,
) -> Result<Circuit, Diagnostics> {
    let Rewritten { circuit: rewritten, saturation, .. } = rewrite(circuit, nominal, objective);
    if saturation.is_bounded {
        form.diagnostics(&problems::bounded(&args.model.model, &saturation));
    }
    let seeded = circuit.inputs.iter().zip(0..);
    let tensors: Vec<Vec<f64>> =
        seeded.map(|(input, seed)| spread(input.layout.home.len(), input.range, seed)).collect();
    if !args.model.no_validate {
        let file = args.model.model.display().to_string();
        validate("rewrite", circuit, &rewritten, &tensors)
            .map_err(|mismatch| problems::changed_meaning(&file, &mismatch))?;
    }
    Ok(rewritten)
}

fn read(args: &InspectArgs) -> Result<Circuit, Diagnostics> {
    let path = &args.model.model;
    let contents = String::from_utf8_lossy(&files::text(path)?).into_owned();
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
