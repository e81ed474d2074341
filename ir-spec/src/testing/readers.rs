//! What every reader promises for any bytes: it returns, and what it accepts
//! is written and read back as it was. Fuzz targets and replay tests call these.

use crate::artifact::{
    ArtifactError, Kind, read_manifest, read_program, resealed, write_manifest, write_program,
};
use crate::text;

/// Reads a circuit from text.
///
/// # Errors
/// Why the text was refused.
///
/// # Panics
/// If an accepted circuit does not survive a round trip.
pub fn ir_text(data: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(data).map_err(|_| String::from("no text"))?;
    let first = |errors: Vec<text::TextError>| errors[0].to_string();
    let circuit = text::parse(text).map_err(first)?;
    assert_eq!(text::parse(&text::print(&circuit)), Ok(circuit), "text survives a round trip");
    Ok(())
}

/// Reads a program from a file, as it is and with a matching header.
///
/// # Errors
/// Why what lies behind the header was refused.
///
/// # Panics
/// If an accepted program does not survive a round trip.
pub fn program(data: &[u8]) -> Result<(), ArtifactError> {
    let read = |file: &[u8]| {
        let program = read_program(file)?;
        assert_eq!(read_program(&write_program(&program)), Ok(program), "programs survive a round trip");
        Ok(())
    };
    let _ = read(data);
    read(&resealed(Kind::Program, data))
}

/// Reads a manifest from a file, as it is and with a matching header.
///
/// # Errors
/// Why what lies behind the header was refused.
///
/// # Panics
/// If an accepted manifest does not survive a round trip.
pub fn manifest(data: &[u8]) -> Result<(), ArtifactError> {
    let read = |file: &[u8]| {
        let manifest = read_manifest(file)?;
        assert_eq!(read_manifest(&write_manifest(&manifest)), Ok(manifest), "manifests survive a round trip");
        Ok(())
    };
    let _ = read(data);
    read(&resealed(Kind::Manifest, data))
}
