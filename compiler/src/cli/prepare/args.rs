//! What `hecc prepare` takes, for the command that starts it and the one that does it.

use super::super::args::{ForceArgs, ModelArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Arguments of `prepare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PrepareArgs {
    /// What to do.
    #[command(subcommand)]
    pub step: PrepareStep,
}

const EXAMPLES: &str = "Example, from a network with ReLU to one that is pruned for its packing:
  hecc prepare train lenet.hec --data mnist -o dense
  hecc prepare friendly dense/lenet.hec --data mnist -o friendly
  hecc prepare prune friendly/lenet.hec --data mnist --keep 0.1 -o pruned
  hecc compile pruned/lenet.hec --calibrate pruned/lenet-samples.npz

Convolutions of many channels may become grouped ones before they are pruned:
  hecc prepare group friendly/vgg5.hec --data cifar --groups conv2=8 --groups conv3=8 -o grouped
  hecc prepare narrow grouped/vgg5.hec --data cifar --channels fc1=512 --channels fc2=256 -o narrow

Ctrl-C stops a step so that the same command goes on later, from its last epoch or step of pruning.";

/// Steps of preparation.
#[derive(Debug, Subcommand)]
pub enum PrepareStep {
    /// Train a network from where its weights are.
    Train(TrainArgs),
    /// Replace activations and maximum pools by what has an encrypted form, and train on.
    Friendly(FriendlyArgs),
    /// Put the channels of convolutions into groups, and train on.
    Group(GroupArgs),
    /// Leave layers as many channels as named, those that matter most, and train on.
    Narrow(NarrowArgs),
    /// Make weights zero that the encrypted program computes together, and train on.
    Prune(PruneArgs),
}

/// Model, samples and training.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The model and what it is compiled for.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Samples: an `.npz` file with `x` and `y`, or a folder with the files of MNIST or CIFAR-10.
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// Samples that the result is tested on; of a folder its test files, of an `.npz`
    /// file none unless named.
    #[arg(long, value_name = "DATA")]
    pub test: Option<PathBuf>,
    /// Folder for the model (NAME.hec, NAME.npz) and samples for `--calibrate`.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub output: PathBuf,
    /// What may be replaced.
    #[command(flatten)]
    pub force: ForceArgs,
    /// Times that every sample is seen in each training.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub epochs: usize,
    /// Samples per step.
    #[arg(long, default_value_t = 128, value_name = "COUNT")]
    pub minibatch: usize,
    /// Learning rate at the start of each training.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    pub rate: f64,
    /// Seed of everything that is random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Use no more than so many samples.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// Start over instead of going on from a checkpoint in the output folder.
    #[arg(long)]
    pub restart: bool,
}

/// Arguments of `prepare friendly`.
#[derive(Debug, Args)]
pub struct FriendlyArgs {
    /// Model, samples and training.
    #[command(flatten)]
    pub train: TrainArgs,
    /// Degree of the polynomials.
    #[arg(long, default_value_t = 2)]
    pub degree: usize,
    /// What maximum pools become. Those with padding become means in any case.
    #[arg(long, value_enum, default_value = "mean")]
    pub pool: PoolArg,
    /// Weight, 0 to 1, of the original network's outputs in the loss.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub distill: f64,
}

/// What maximum pools become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PoolArg {
    /// Means of the same windows.
    Mean,
    /// Convolutions of each channel over the same windows, at first their means.
    Conv,
    /// Convolutions if they are right on a quarter of a point more of the samples held
    /// back, after the training of both; else means.
    Best,
}

/// Arguments of `prepare group`.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// Model, samples and training.
    #[command(flatten)]
    pub train: TrainArgs,
    /// Put a convolution into so many groups: `conv2=8`. Only convolutions that are named
    /// are grouped then; else all but the first, into as many groups as a ciphertext
    /// holds of their input channels, or fewer where that costs too much accuracy.
    #[arg(long = "groups", value_name = "LAYER=COUNT", value_parser = parse_count)]
    pub groups: Vec<CountArg>,
    /// Whether channels that come out of groups are dealt to the next groups in turn.
    /// Encrypted programs take rotations for it.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "needed", num_args = 0..=1,
          default_missing_value = "always", require_equals = true)]
    pub shuffle: ShuffleArg,
    /// Epochs of training at the end.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub last_epochs: usize,
    /// Percentage points of accuracy that may be lost before a convolution stays as it is.
    #[arg(long, default_value_t = 1.0, value_name = "POINTS")]
    pub max_loss: f64,
    /// Weight, 0 to 1, of the network before grouping in the loss.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub distill: f64,
}

/// When channels are shuffled between groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShuffleArg {
    /// Channels of a group stay together.
    Never,
    /// Where a number of groups loses too much accuracy without, before fewer groups are tried.
    Needed,
    /// Between any two convolutions in groups.
    Always,
}

/// A layer and how many it is to have of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountArg {
    /// Name of the layer.
    pub layer: String,
    /// How many.
    pub count: usize,
}

fn parse_count(text: &str) -> Result<CountArg, String> {
    let found = text.rsplit_once('=').and_then(|(layer, count)| Some((layer, count.parse().ok()?)));
    let (layer, count) = found.ok_or_else(|| String::from("LAYER=COUNT, such as conv2=8"))?;
    Ok(CountArg { layer: layer.to_owned(), count })
}

/// Arguments of `prepare narrow`.
#[derive(Debug, Args)]
pub struct NarrowArgs {
    /// Model, samples and training.
    #[command(flatten)]
    pub train: TrainArgs,
    /// Channels, or features, that a layer keeps: `conv1=64`.
    #[arg(long = "channels", value_name = "LAYER=COUNT", value_parser = parse_count, required = true)]
    pub channels: Vec<CountArg>,
    /// Which channels go first.
    #[arg(long, value_enum, default_value = "taylor")]
    pub score: ScoreArg,
    /// Weight, 0 to 1, of the network before in the loss.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub distill: f64,
}

/// Arguments of `prepare prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Model, samples and training.
    #[command(flatten)]
    pub train: TrainArgs,
    /// What remains at the end, as a share of what there was: of the predicted latency
    /// (`--objective latency`) or of the weights (`--objective ratio`).
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub keep: f64,
    /// What is to become small.
    #[arg(long, value_enum, default_value = "latency")]
    pub objective: ObjectiveArg,
    /// Divide a layer's weights into blocks of this shape instead of by the packing:
    /// `conv2=4x4x1x1`. Only layers that are named are pruned then.
    #[arg(long = "block", value_name = "LAYER=SHAPE", value_parser = parse_block)]
    pub blocks: Vec<BlockArg>,
    /// Epochs of training at the end, of what is kept.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub last_epochs: usize,
    /// Steps to get there.
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    pub steps: usize,
    /// Write the model of every step too, to folders `step01` and so on.
    #[arg(long)]
    pub every_step: bool,
    /// How fast weights go.
    #[arg(long, value_enum, default_value = "cubic")]
    pub schedule: ScheduleArg,
    /// Which weights go first.
    #[arg(long, value_enum, default_value = "taylor")]
    pub score: ScoreArg,
    /// Percentage points of accuracy that may be lost before pruning stops.
    #[arg(long, default_value_t = 0.5, value_name = "POINTS")]
    pub max_loss: f64,
    /// Times that a step which loses more is trained again before pruning stops.
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    pub retries: usize,
    /// Weight, 0 to 1, of the network before pruning in the loss.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub distill: f64,
}

/// What pruning makes small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObjectiveArg {
    /// Predicted latency.
    Latency,
    /// Number of weights.
    Ratio,
}

/// How fast weights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduleArg {
    /// All at once.
    OneShot,
    /// As many in every step.
    Linear,
    /// Most in the first steps.
    Cubic,
}

/// Which weights go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScoreArg {
    /// Small ones.
    Magnitude,
    /// Those whose loss changes least to first order.
    Taylor,
    /// Any.
    Random,
}

/// A layer and the shape of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockArg {
    /// Name of the layer.
    pub layer: String,
    /// Extents along the axes of its weights.
    pub shape: Vec<usize>,
}

fn parse_block(text: &str) -> Result<BlockArg, String> {
    let refused = || String::from("LAYER=SHAPE, such as conv2=4x4x1x1");
    let (layer, shape) = text.rsplit_once('=').ok_or_else(refused)?;
    let shape: Result<Vec<usize>, _> = shape.split('x').map(str::parse).collect();
    Ok(BlockArg { layer: layer.to_owned(), shape: shape.map_err(|_| refused())? })
}
