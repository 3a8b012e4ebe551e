import FeatureCore

/// What a reader must know to find states and to understand them.
public struct StoreMetadata: Hashable, Sendable {
  /// The fingerprint of the definitions that made the states.
  public var fingerprint: UInt64
  /// The number of partitions of each source, repartitioned ones included.
  public var partitions: [String: Int32]

  /// Metadata from its parts.
  public init(fingerprint: UInt64, partitions: [String: Int32]) {
    self.fingerprint = fingerprint
    self.partitions = partitions
  }

  /// Why states that were made under this metadata can't be carried on under another, and what to do; nil if they can.
  /// `withoutStates` are the sources that are only forwarded: those may have got more partitions. `zones` are those of the new
  /// definitions' fingerprint.
  public func conflict(
    with new: StoreMetadata, withoutStates: Set<String> = [], zones: [String] = []
  ) -> String? {
    guard new.fingerprint == fingerprint else {
      return
        "the store has states of other definitions under this name and version; raise 'version:', so that the new "
        + "ones are made beside them, or go back to the old definitions" + zoneHint(zones)
    }
    for (source, count) in partitions.sorted(by: { $0.key < $1.key }) {
      guard let now = new.partitions[source], now != count else { continue }
      if now > count && withoutStates.contains(source) { continue }
      return
        "'\(source)' had \(count) partitions when its states were made, and has \(now) now, so keys have moved to other "
        + "partitions; raise 'version:', so that the states are made anew (plumb run --until end)"
    }
    return nil
  }

  private static let header = "plumbline 1"

  /// Lines: a header with the format's version, `fingerprint <decimal>`, and `partitions <source> <count>` in the
  /// order of the sources.
  var encoded: [UInt8] {
    var text = "\(Self.header)\nfingerprint \(fingerprint)\n"
    for (source, count) in partitions.sorted(by: { $0.key < $1.key }) {
      text += "partitions \(source) \(count)\n"
    }
    return Array(text.utf8)
  }

  init?(_ bytes: UnsafeRawBufferPointer) {
    var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")[...]
    guard lines.popFirst() == Self.header[...] else { return nil }
    var fingerprint: UInt64?
    var partitions: [String: Int32] = [:]
    for line in lines {
      let words = line.split(separator: " ")
      if words.count == 2, words[0] == "fingerprint" {
        fingerprint = UInt64(words[1])
      } else if words.count == 3, words[0] == "partitions", let count = Int32(words[2]), count > 0 {
        partitions[String(words[1])] = count
      } else {
        return nil
      }
    }
    guard let fingerprint else { return nil }
    self.init(fingerprint: fingerprint, partitions: partitions)
  }
}
