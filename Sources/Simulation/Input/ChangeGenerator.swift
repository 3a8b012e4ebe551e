import BrokerCore
import FeatureCore

/// Records of a table's changes as Debezium writes them, now and then ones that can't be used.
struct ChangeGenerator {
  var draws: SplitMix64

  /// The record of a row, or of the deletion of a key.
  mutating func record(
    of row: String?, _ key: String, _ time: Int64, _ source: Source, timestamp: Int64
  ) -> Record {
    let identity = "{\"\(source.key ?? "")\":\"\(key)\"}"
    var value = row.map { draws.oneIn(5) ? unavailable($0) : $0 }
    if source.format == .debezium {
      value = envelope(value, identity, time)
    } else if value == nil, draws.oneIn(2) {
      value = "\(identity.dropLast()),\"ts\":\(time),\"__deleted\":\"true\"}"
    }
    if value.map({ _ in draws.oneIn(2) }) ?? draws.oneIn(5) {
      value = "{\"schema\":{\"type\":\"struct\"},\"payload\":\(value ?? "null")}"
    }
    let keyText = draws.oneIn(2) ? identity : "{\"schema\":{\"type\":\"struct\"},\"payload\":\(identity)}"
    return Record(key: Array(keyText.utf8), value: value.map { Array($0.utf8) }, timestamp: timestamp)
  }

  /// A row with a large value that the database hasn't sent again.
  private func unavailable(_ row: String) -> String {
    let parts = row.split(separator: "\"item\":\"", maxSplits: 1)
    guard parts.count == 2 else { return row }
    return parts[0] + "\"item\":\"__debezium_unavailable_value" + parts[1].drop { $0 != "\"" }
  }

  /// nil is the record for compaction that follows a deletion.
  private mutating func envelope(_ row: String?, _ identity: String, _ time: Int64) -> String? {
    let block = "\"source\":{\"ts_ms\":\(time)}"
    guard let row else {
      switch draws.below(4) {
      case 0: return nil
      case 1: return "{\"op\":\"d\",\"before\":null,\"after\":null,\(block)}"
      default: return "{\(block),\"before\":\(identity),\"after\":null,\"op\":\"d\"}"
      }
    }
    let operation = draws.oneIn(12) ? draws.pick(["t", "m", ""]) : draws.pick(["c", "u", "u", "r"])
    return "{\"before\":null,\"after\":\(row),\(block),\"op\":\"\(operation)\"}"
  }
}
