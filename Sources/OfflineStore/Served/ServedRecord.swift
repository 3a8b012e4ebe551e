public import FeatureCore

/// A record of the topic of answers, read where it lies: of one row of an answer what one view said, or what was computed.
public struct ServedRecord {
  /// Names the answer.
  public private(set) var requestID = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The view's name; empty if the record holds the row's inputs and derived columns.
  public private(set) var view = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The entity's key.
  public private(set) var entityKey = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The topic of the state's position; empty if there was no state.
  public private(set) var topic = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The partition of the state's position.
  public private(set) var partition: Int64 = 0
  /// The next offset that the state had not folded.
  public private(set) var offset: Int64 = 0
  /// The largest event time that the state had folded.
  public private(set) var asOf = EventTime(microseconds: 0)
  /// What the features were evaluated at.
  public private(set) var evaluatedAt = EventTime(microseconds: 0)
  /// The time of the request.
  public private(set) var requestedAt = EventTime(microseconds: 0)
  /// Of the view's definition.
  public private(set) var fingerprint: UInt64 = 0
  /// The service that was asked for; empty if views were.
  public private(set) var service = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The row of the request, from 0.
  public private(set) var row: Int64 = 0
  /// Of the definitions.
  public private(set) var version: Int64 = 0
  /// How many records tell of the row.
  public private(set) var rowRecords: Int64 = 0

  private let message: UnsafeRawBufferPointer

  /// Reads a record's value; nil if it is no answer, or its times can't be. Fields that are not known are skipped.
  public init?(_ message: UnsafeRawBufferPointer) {
    self.message = message
    var fields = WireFields(message)
    do throws(WireFields.Malformed) {
      while let field = try fields.next() {
        switch (field.number, field.value) {
        case (1, .bytes(let bytes)): requestID = bytes
        case (2, .bytes(let bytes)): view = bytes
        case (3, .bytes(let bytes)): entityKey = bytes
        case (4, .bytes(let bytes)): topic = bytes
        case (5, .varint(let number)): partition = Int64(bitPattern: number)
        case (6, .varint(let number)): offset = Int64(bitPattern: number)
        case (7, .varint(let number)): asOf = EventTime(microseconds: Int64(bitPattern: number))
        case (8, .varint(let number)): evaluatedAt = EventTime(microseconds: Int64(bitPattern: number))
        case (9, .fixed64(let number)): fingerprint = number
        case (10, .bytes), (15, .bytes): break
        case (11, .bytes(let bytes)): service = bytes
        case (12, .varint(let number)): row = Int64(bitPattern: number)
        case (13, .varint(let number)): version = Int64(bitPattern: number)
        case (14, .varint(let number)): requestedAt = EventTime(microseconds: Int64(bitPattern: number))
        case (16, .varint(let number)): rowRecords = Int64(bitPattern: number)
        case (1...16, _): return nil
        default: break
        }
      }
    } catch {
      return nil
    }
    // Whatever computes with them need not fear overflows.
    guard asOf.isInRange, evaluatedAt.isInRange, requestedAt.isInRange else { return nil }
  }

  /// The derived columns; nil if they are none of these types.
  public func values(_ types: [FeatureType]) -> [FeatureValue]? { WireValues.read(message, field: 10, types) }

  /// The features of a view, in the order of its features; nil if they are none of its types.
  public func values(_ view: ViewPlan) -> [FeatureValue]? { WireValues.read(message, field: 10, of: view) }

  /// The inputs; nil if they are none of these types.
  public func inputs(_ types: [FeatureType]) -> [FeatureValue]? { WireValues.read(message, field: 15, types) }
}
