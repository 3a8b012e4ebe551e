import ArgumentParser
import DefinitionFiles
import EventFiles
import FeatureCore
import Glibc
import OfflineStore

/// Exit statuses of their own, besides 0 (done), 1 (failed) and 64 (usage).
enum Outcome {
  /// The definitions or another input have mistakes.
  static let mistakes = ExitCode(2)
  /// Done, but records could not be used, and nothing keeps them.
  static let lostRecords = ExitCode(3)
}

/// Runs a command's body; errors of the project become a message for a person and an exit status.
func reporting(_ body: () throws -> Void) throws {
  do {
    try body()
  } catch let error as DefinitionFileError {
    printError("\(error)")
    throw Outcome.mistakes
  } catch let error as TableError {
    printError("plumb: \(error)")
    throw error.line == nil ? ExitCode.failure : Outcome.mistakes
  } catch let error as EventFileError {
    printError("plumb: \(error)")
    throw ExitCode.failure
  } catch let error as ValidationError {
    // What only shows once the definitions are read; the options by themselves are well formed.
    printError("plumb: \(error.message)")
    throw ExitCode.validationFailure
  }
}

/// `1 event`, `2 events`.
func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
  "\(count) \(count == 1 ? one : many ?? one + "s")"
}

/// Writes a line to the standard error.
func printError(_ message: String) { writeError(message + "\n") }

/// Writes text to the standard error. What can't be written there is lost: there is nowhere to say so.
func writeError(_ text: String) {
  var text = text
  text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

extension DefinitionFile {
  /// Reads, checks and compiles a file.
  static func compile(path: String) throws(DefinitionFileError) -> Plan {
    var compiled: Plan?
    _ = try load(path: path) { definitions, zones in
      do throws(DefinitionMistakes) {
        compiled = try Plan(definitions, zones: zones)
        return []
      } catch {
        return error.mistakes
      }
    }
    guard let compiled else { preconditionFailure("Cannot have neither a plan nor mistakes") }
    return compiled
  }
}
