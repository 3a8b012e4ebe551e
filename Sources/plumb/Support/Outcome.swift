import ArgumentParser
import DefinitionFiles
import EventFiles
import FeatureCore
import OfflineStore
import Replay

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
    StandardError.print("\(error)")
    throw Outcome.mistakes
  } catch let error as TableError {
    StandardError.print("plumb: \(error)")
    throw error.isMistake ? Outcome.mistakes : ExitCode.failure
  } catch let error as EventFileError {
    StandardError.print("plumb: \(error)")
    throw error.isMistake ? Outcome.mistakes : ExitCode.failure
  } catch let error as ReplayError {
    StandardError.print("plumb: \(error)")
    throw ExitCode.validationFailure
  } catch let error as ValidationError {
    // What only shows once the definitions are read; the options by themselves are well formed.
    StandardError.print("plumb: \(error.message)")
    throw ExitCode.validationFailure
  }
}

/// `1 event`, `2 events`.
func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
  "\(count) \(count == 1 ? one : many ?? one + "s")"
}
