/// Something that can move what it holds in memory to a file.
protocol Spilling: AnyObject {
  /// Bytes that a spill frees.
  var spillableBytes: Int { get }

  func spill() throws(TableError)
}

/// Memory that some holders share. When it is used up, the one that holds most moves to a file. One thread.
final class MemoryBudget {
  /// Bytes.
  let limit: Int
  /// Where files are made.
  let folder: String
  private(set) var used = 0
  private var members: [ObjectIdentifier: () -> (any Spilling)?] = [:]

  init(limit: Int, folder: String) {
    self.limit = limit
    self.folder = folder
  }

  func add(_ member: some Spilling) {
    members[ObjectIdentifier(member)] = { [weak member] in member }
  }

  func remove(_ member: some Spilling) { members[ObjectIdentifier(member)] = nil }

  /// Makes room for some bytes, which the caller then takes; there may be less if nothing is left to spill.
  func makeRoom(_ bytes: Int) throws(TableError) {
    while used + bytes > limit {
      let largest = members.values.compactMap { $0() }.max { $0.spillableBytes < $1.spillableBytes }
      guard let largest, largest.spillableBytes > 0 else { return }
      try largest.spill()
    }
  }

  func take(_ bytes: Int) { used += bytes }

  func giveBack(_ bytes: Int) { used -= bytes }
}
