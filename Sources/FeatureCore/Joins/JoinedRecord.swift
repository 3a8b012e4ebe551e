/// Writes the records that a join makes: JSON objects that the decoder of events reads as events of the join's source.
extension JoinPlan {
  /// The members of a right event that the record carries, each after a comma.
  public func carriedMembers(_ row: UnsafePointer<Scalar>) -> [UInt8] {
    var members: [UInt8] = []
    for column in carried {
      // Cut like any text that a state keeps: the record has to fit.
      let scalar = row[column.column]
      let isText = column.type == .string && scalar.isValue
      append(column.member, isText ? .text(stateText(scalar.text)) : scalar, column.type, to: &members)
    }
    return members
  }

  /// The members of the row of a table that the record carries; `values` are those of `right`'s features.
  public func carriedMembers(_ values: [FeatureValue]) -> [UInt8] {
    let arena = TextArena()
    var members: [UInt8] = []
    for column in carried {
      append(column.member, Scalar(values[column.feature], in: arena), column.type, to: &members)
    }
    return members
  }

  /// Replaces a buffer's content by the record of a left event and what it got: members, each after a comma.
  public func write(
    _ left: UnsafePointer<Scalar>, to record: inout [UInt8], got append: (inout [UInt8]) -> Void
  ) {
    record.removeAll(keepingCapacity: true)
    for (index, type) in leftTypes.enumerated() {
      self.append(leftNames[index], left[index], type, to: &record)
    }
    append(&record)
    record.append(UInt8(ascii: "}"))
    record[0] = UInt8(ascii: "{")
  }

  /// Appends the members of an outcome: those of the event that followed, if one did, whether it did, and when.
  public func appendOutcome(_ event: RightEvents.Event?, revision: Int64, to record: inout [UInt8]) {
    if let event {
      record.append(contentsOf: event.fields)
    } else {
      record.append(contentsOf: nothingCarried)
    }
    append(Self.label, .bool(event != nil), .bool, to: &record)
    append(Self.labelTime, event.map { .int64($0.time) } ?? .null, .timestamp, to: &record)
    append(Self.revision, .int64(revision), .int64, to: &record)
  }

  private static let label = member(Column.label)
  private static let labelTime = member(Column.labelTime)
  private static let revision = member(Column.revision)

  /// The comma, the name and the colon in front of a value.
  static func member(_ name: String) -> [UInt8] {
    var bytes = [UInt8(ascii: ",")]
    ValueText.appendJSONString(Array(name.utf8), to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    return bytes
  }

  private func append(_ member: [UInt8], _ scalar: Scalar, _ type: ValueType, to buffer: inout [UInt8]) {
    buffer.append(contentsOf: member)
    ValueText.appendJSON(scalar, type, to: &buffer)
  }
}
