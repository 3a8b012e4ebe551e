/// Records in the order in which they came, to be read once: in memory as far as the budget goes, the rest in a file.
final class RowStore {
  private static let firstBytes = 4_096
  private static let readBytes = 1 << 18

  private let budget: MemoryBudget
  private var memory = GrowingBytes()
  private var file: SpillFile?
  /// Records.
  private(set) var count = 0

  init(_ budget: MemoryBudget) {
    self.budget = budget
    budget.add(self)
  }

  deinit {
    budget.remove(self)
    budget.giveBack(memory.capacity)
  }

  func append(_ record: UnsafeRawBufferPointer) throws(TableError) {
    let room = 4 + record.count
    if !memory.hasRoom(room) {
      try budget.makeRoom(max(memory.capacity, room))
      // It may have been this one that was spilled.
      let (before, target) = (memory.capacity, max(memory.capacity * 2, memory.count + room, Self.firstBytes))
      memory.grow(to: target)
      budget.take(target - before)
    }
    memory.end.storeBytes(of: UInt32(record.count), as: UInt32.self)
    UnsafeMutableRawBufferPointer(start: memory.end + 4, count: record.count).copyMemory(from: record)
    memory.count += room
    count += 1
  }

  /// Calls with every record, in order; each is borrowed.
  func forEach(_ body: (UnsafeRawBufferPointer) throws(TableError) -> Void) throws(TableError) {
    // What is read stays where it is.
    budget.remove(self)
    var buffer = GrowingBytes()
    if let file {
      try file.flush()
      var offset = 0
      while offset < file.byteCount {
        let added = min(Self.readBytes, file.byteCount - offset)
        if !buffer.hasRoom(added) { buffer.grow(to: buffer.count + added) }
        try file.read(at: offset, into: UnsafeMutableRawBufferPointer(start: buffer.end, count: added))
        offset += added
        buffer.count += added
        let used = try Self.split(buffer.bytes, body)
        let rest = buffer.count - used
        if rest > 0, let base = buffer.base { base.copyMemory(from: base + used, byteCount: rest) }
        buffer.count = rest
      }
    }
    _ = try Self.split(memory.bytes, body)
  }

  /// Calls with the whole records at the beginning of some bytes; returns how many bytes they take.
  private static func split(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(TableError) -> Void
  ) throws(TableError) -> Int {
    var start = 0
    while bytes.count - start >= 4 {
      let end = start + 4 + Int(bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
      guard end <= bytes.count else { break }
      try body(UnsafeRawBufferPointer(rebasing: bytes[(start + 4)..<end]))
      start = end
    }
    return start
  }
}

extension RowStore: Spilling {
  var spillableBytes: Int { memory.count == 0 ? 0 : memory.capacity }

  func spill() throws(TableError) {
    if file == nil { file = try SpillFile(folder: budget.folder) }
    try file?.append(memory.bytes)
    budget.giveBack(memory.capacity)
    memory.release()
  }
}
