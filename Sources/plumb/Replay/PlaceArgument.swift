public import ArgumentParser
import EventLog
import Processor
public import Replay

/// A place as it is written.
extension ReplayPlace: ExpressibleByArgument {
  /// From text; nil if it names no place.
  public init?(argument: String) {
    switch argument {
    case "beginning": self = .beginning
    case "end": self = .end
    case "store": self = .store
    case "offsets": self = .offsets
    default:
      if let named = Self.named(argument) {
        self = .named(named)
      } else if case .time(let milliseconds) = TailStart(argument: argument)?.start {
        self = .time(milliseconds: milliseconds)
      } else {
        return nil
      }
    }
  }

  /// From `clicks-0=100,clicks-1=250`; nil if the text is something else.
  private static func named(_ text: String) -> [TopicPartition: Int64]? {
    var offsets: [TopicPartition: Int64] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = part.lastIndex(of: "="), let offset = Int64(part[part.index(after: equals)...]),
        let dash = part[..<equals].lastIndex(of: "-"),
        let partition = Int32(part[part.index(after: dash)..<equals]), offset >= 0, partition >= 0,
        offsets.updateValue(offset, forKey: TopicPartition(String(part[..<dash]), partition)) == nil
      else { return nil }
    }
    return offsets
  }
}
