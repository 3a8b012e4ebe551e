public import FeatureCore

/// A record of the snapshot topic, message plumbline.Snapshot. Its bytes are borrowed from the record.
///
/// Read by hand: a generated message makes an object for each value, which costs more than writing the row does.
public struct SnapshotRecord {
  /// The view's name.
  public private(set) var view = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The entity key.
  public private(set) var entityKey = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The topic that the view folds from.
  public private(set) var topic = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The partition that the view folds from.
  public private(set) var partition: Int64 = 0
  /// The next offset to fold.
  public private(set) var offset: Int64 = 0
  /// The largest event time folded.
  public private(set) var asOf = EventTime(microseconds: 0)
  /// Of the view's definition.
  public private(set) var fingerprint: UInt64 = 0
  /// The state's bytes.
  public private(set) var state = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The version of the definitions that made it.
  public private(set) var version: Int64 = 0

  private let message: UnsafeRawBufferPointer

  /// Reads a record's value; nil if it is no snapshot. Fields that are not known are skipped.
  public init?(_ message: UnsafeRawBufferPointer) {
    self.message = message
    var fields = WireFields(message)
    do throws(WireFields.Malformed) {
      while let field = try fields.next() {
        switch (field.number, field.value) {
        case (1, .bytes(let bytes)): view = bytes
        case (2, .bytes(let bytes)): entityKey = bytes
        case (3, .bytes(let bytes)): topic = bytes
        case (4, .varint(let number)): partition = Int64(bitPattern: number)
        case (5, .varint(let number)): offset = Int64(bitPattern: number)
        case (6, .varint(let number)): asOf = EventTime(microseconds: Int64(bitPattern: number))
        case (7, .fixed64(let number)): fingerprint = number
        case (8, .bytes(let bytes)): state = bytes
        case (10, .varint(let number)): version = Int64(bitPattern: number)
        case (9, .bytes), (11, .bytes): break
        case (1...11, _): return nil
        default: break
        }
      }
    } catch {
      return nil
    }
  }

  /// A snapshot from its parts, without values.
  init(
    view: UnsafeRawBufferPointer, entityKey: UnsafeRawBufferPointer, topic: UnsafeRawBufferPointer,
    partition: Int64, offset: Int64, fingerprint: UInt64, version: Int64, state: UnsafeRawBufferPointer
  ) {
    message = UnsafeRawBufferPointer(start: nil, count: 0)
    self.view = view
    self.entityKey = entityKey
    self.topic = topic
    self.partition = partition
    self.offset = offset
    self.fingerprint = fingerprint
    self.version = version
    self.state = state
  }

  /// The values at as_of, in the order of the view's features; nil if they are none of these types, or if the record is
  /// not of the view's definition.
  public func values(_ view: ViewPlan) -> [FeatureValue]? {
    guard fingerprint == view.fingerprint else { return nil }
    if let values = WireValues.read(message, field: 11, of: view) { return values }
    return WireValues.has(message, field: 11) ? nil : evaluated(view)
  }

  /// Records once had their values in the order of a file, which nothing tells: the state does.
  private func evaluated(_ view: ViewPlan) -> [FeatureValue]? {
    guard let state = try? view.decode(state), state.asOf == asOf else { return nil }
    return view.evaluate(state, at: asOf)
  }

  /// Whether bytes are UTF-8.
  static func isText(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
  }
}
