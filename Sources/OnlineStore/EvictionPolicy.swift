/// What Redis does when its memory is full, as INFO tells.
struct EvictionPolicy {
  var name: String
  private var isBounded: Bool

  /// Whether keys may vanish. Without a bound of memory none is ever evicted.
  var losesStates: Bool { isBounded && name != "noeviction" }

  /// Reads the lines of `INFO memory`; nil if it doesn't say.
  init?(info: String) {
    var name: Substring?
    var bytesMax: Substring?
    for line in info.split(whereSeparator: \.isNewline) {
      if line.hasPrefix("maxmemory_policy:") { name = line.dropFirst("maxmemory_policy:".count) }
      if line.hasPrefix("maxmemory:") { bytesMax = line.dropFirst("maxmemory:".count) }
    }
    guard let name, let bytesMax else { return nil }
    self.name = String(name)
    isBounded = bytesMax != "0"
  }
}
