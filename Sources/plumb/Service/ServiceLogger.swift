import ArgumentParser
import DefinitionFiles
import Logging
import ServiceConfiguration
import Telemetry

extension ServiceSettings {
  /// What writes the lines of a service.
  var logger: Logger {
    let (format, level) = (Telemetry.LogFormat(logFormat), Logger.Level(logLevel))
    return Logger(label: "plumb") { _ in LineLogHandler(format, level: level, write: StandardError.print) }
  }

  /// Runs a body; where log lines are for machines, what it throws becomes one, too.
  func logging(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch  where !(error is ExitCode) && logFormat == .json {
      logger.critical("\((error as? ValidationError)?.message ?? "\(error)")")
      throw switch error {
      case is DefinitionFileError: Outcome.mistakes
      case is ValidationError, is SettingError: ExitCode.validationFailure
      default: ExitCode.failure
      }
    }
  }
}

extension LogFormat {
  fileprivate init(_ format: ServiceSettings.LogFormat) {
    switch format {
    case .text: self = .text
    case .json: self = .json
    }
  }
}

extension Logger.Level {
  fileprivate init(_ level: ServiceSettings.LogLevel) {
    switch level {
    case .trace: self = .trace
    case .debug: self = .debug
    case .info: self = .info
    case .notice: self = .notice
    case .warning: self = .warning
    case .error: self = .error
    case .critical: self = .critical
    }
  }
}
