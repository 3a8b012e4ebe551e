/// What a reader needs of the structs of parquet.thrift. Fields of an unexpected type are skipped like unknown ones.
struct FileMetadata {
  var schema: [SchemaElement] = []
  var rowCount: Int64 = 0
  var groups: [RowGroup] = []
  var metadata: [(key: String, value: String)] = []
  var createdBy: String?

  init(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (2, .list):
        schema = try thrift.elements(.structure) { (thrift) throws(FormatProblem) in
          try SchemaElement(&thrift)
        }
      case (3, .int64): rowCount = try thrift.int64()
      case (4, .list):
        groups = try thrift.elements(.structure) { (thrift) throws(FormatProblem) in try RowGroup(&thrift) }
      case (5, .list):
        metadata = try thrift.elements(.structure) { (thrift) throws(FormatProblem) in try keyValue(&thrift) }
      case (6, .binary): createdBy = try thrift.string()
      default: try thrift.skip(field.kind)
      }
    }
  }
}

private func keyValue(_ thrift: inout ThriftReader) throws(FormatProblem) -> (key: String, value: String) {
  var pair = (key: "", value: "")
  var latest: Int16 = 0
  while let field = try thrift.field(after: &latest) {
    switch (field.id, field.kind) {
    case (1, .binary): pair.key = try thrift.string()
    case (2, .binary): pair.value = try thrift.string()
    default: try thrift.skip(field.kind)
    }
  }
  return pair
}

/// `SchemaElement` with its `LogicalType`.
struct SchemaElement {
  /// `LogicalType`, as far as it is read.
  enum Logical: Equatable {
    case string, list, date, unknown, uuid, float16
    case decimal(scale: Int32, precision: Int32)
    /// Ticks a second: 1,000, 1,000,000 or 1,000,000,000. A local one is what a clock shows, wherever that is.
    case timestamp(ticks: Int64, isLocal: Bool)
    case integer(bits: Int8, isSigned: Bool)
    /// The field id in the union.
    case other(Int16)
  }

  var type: Int32?
  var repetition: Repetition?
  var name = ""
  var children: Int32 = 0
  var converted: Int32?
  var logical: Logical?
  /// Of FIXED_LEN_BYTE_ARRAY, in bytes.
  var width: Int32 = 0
  /// Of the converted type DECIMAL.
  var scale: Int32 = 0
  var precision: Int32 = 0

  init(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int32): type = try thrift.int32()
      case (2, .int32): width = try thrift.int32()
      case (7, .int32): scale = try thrift.int32()
      case (8, .int32): precision = try thrift.int32()
      case (3, .int32): repetition = Repetition(rawValue: try thrift.int32())
      case (4, .binary): name = try thrift.string()
      case (5, .int32): children = try thrift.int32()
      case (6, .int32): converted = try thrift.int32()
      case (10, .structure): logical = try Self.logical(&thrift)
      default: try thrift.skip(field.kind)
      }
    }
  }

  private static func logical(_ thrift: inout ThriftReader) throws(FormatProblem) -> Logical? {
    var logical: Logical?
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      guard field.kind == .structure else {
        try thrift.skip(field.kind)
        continue
      }
      switch field.id {
      case LogicalTypeField.timestamp: logical = try timestamp(&thrift)
      case LogicalTypeField.integer: logical = try integer(&thrift)
      case LogicalTypeField.decimal: logical = try decimal(&thrift)
      case LogicalTypeField.uuid: logical = .uuid
      case LogicalTypeField.float16: logical = .float16
      case LogicalTypeField.string, LogicalTypeField.enumeration, LogicalTypeField.json: logical = .string
      case LogicalTypeField.list: logical = .list
      case LogicalTypeField.date: logical = .date
      case LogicalTypeField.unknown: logical = .unknown
      default: logical = .other(field.id)
      }
      let read = [LogicalTypeField.timestamp, LogicalTypeField.integer, LogicalTypeField.decimal]
      if !read.contains(field.id) { try thrift.skip(.structure) }
    }
    return logical
  }

  private static func timestamp(_ thrift: inout ThriftReader) throws(FormatProblem) -> Logical {
    var ticks: Int64 = 0
    var isLocal = false
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      if field.id == 1 { isLocal = field.kind == .false_ }
      guard field.id == 2 && field.kind == .structure else {
        try thrift.skip(field.kind)
        continue
      }
      var latestUnit: Int16 = 0
      while let unit = try thrift.field(after: &latestUnit) {
        ticks = [1: 1_000, 2: 1_000_000, 3: 1_000_000_000][unit.id] ?? 0
        try thrift.skip(unit.kind)
      }
    }
    return ticks == 0 ? .other(LogicalTypeField.timestamp) : .timestamp(ticks: ticks, isLocal: isLocal)
  }

  private static func decimal(_ thrift: inout ThriftReader) throws(FormatProblem) -> Logical {
    var (scale, precision): (Int32, Int32) = (0, 0)
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int32): scale = try thrift.int32()
      case (2, .int32): precision = try thrift.int32()
      default: try thrift.skip(field.kind)
      }
    }
    return .decimal(scale: scale, precision: precision)
  }

  private static func integer(_ thrift: inout ThriftReader) throws(FormatProblem) -> Logical {
    var bits: Int8 = 64
    var isSigned = true
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int8): bits = try thrift.int8()
      case (2, .true_): isSigned = true
      case (2, .false_): isSigned = false
      default: try thrift.skip(field.kind)
      }
    }
    return .integer(bits: bits, isSigned: isSigned)
  }
}

/// `RowGroup`.
struct RowGroup {
  var chunks: [ChunkMetadata] = []
  var rowCount: Int64 = 0

  init(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .list):
        chunks = try thrift.elements(.structure) { (thrift) throws(FormatProblem) in
          try ChunkMetadata(&thrift)
        }
      case (3, .int64): rowCount = try thrift.int64()
      default: try thrift.skip(field.kind)
      }
    }
  }
}

/// `ColumnChunk` and its `ColumnMetaData`.
struct ChunkMetadata {
  /// The values are in another file.
  var isElsewhere = false
  var type: Int32?
  var codec: Int32 = 0
  var valueCount: Int64 = 0
  var compressedBytes: Int64 = 0
  var dataPageOffset: Int64 = 0
  var dictionaryPageOffset: Int64?

  init(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .binary):
        isElsewhere = true
        try thrift.skip(.binary)
      case (3, .structure): try readMetadata(&thrift)
      default: try thrift.skip(field.kind)
      }
    }
  }

  private mutating func readMetadata(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int32): type = try thrift.int32()
      case (4, .int32): codec = try thrift.int32()
      case (5, .int64): valueCount = try thrift.int64()
      case (7, .int64): compressedBytes = try thrift.int64()
      case (9, .int64): dataPageOffset = try thrift.int64()
      case (11, .int64): dictionaryPageOffset = try thrift.int64()
      default: try thrift.skip(field.kind)
      }
    }
  }
}

/// `PageHeader` with the header of its type.
struct PageHeader {
  var type: PageType?
  var uncompressedBytes: Int32 = 0
  var compressedBytes: Int32 = 0
  var checksum: Int32?
  var valueCount: Int32 = 0
  var encoding: Int32 = -1
  /// Version 1 only: version 2 has no choice.
  var definitionEncoding = Encoding.rle.rawValue
  var repetitionEncoding = Encoding.rle.rawValue
  /// Version 2 only.
  var definitionBytes: Int32 = 0
  var repetitionBytes: Int32 = 0
  var isCompressed = true

  init(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int32): type = PageType(rawValue: try thrift.int32())
      case (2, .int32): uncompressedBytes = try thrift.int32()
      case (3, .int32): compressedBytes = try thrift.int32()
      case (4, .int32): checksum = try thrift.int32()
      case (5, .structure), (7, .structure): try readVersion1(&thrift)
      case (8, .structure): try readVersion2(&thrift)
      default: try thrift.skip(field.kind)
      }
    }
  }

  /// The dictionary's header has the same first fields.
  private mutating func readVersion1(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int32): valueCount = try thrift.int32()
      case (2, .int32): encoding = try thrift.int32()
      case (3, .int32): definitionEncoding = try thrift.int32()
      case (4, .int32): repetitionEncoding = try thrift.int32()
      default: try thrift.skip(field.kind)
      }
    }
  }

  private mutating func readVersion2(_ thrift: inout ThriftReader) throws(FormatProblem) {
    var latest: Int16 = 0
    while let field = try thrift.field(after: &latest) {
      switch (field.id, field.kind) {
      case (1, .int32): valueCount = try thrift.int32()
      case (4, .int32): encoding = try thrift.int32()
      case (5, .int32): definitionBytes = try thrift.int32()
      case (6, .int32): repetitionBytes = try thrift.int32()
      case (7, .false_): isCompressed = false
      default: try thrift.skip(field.kind)
      }
    }
  }
}
