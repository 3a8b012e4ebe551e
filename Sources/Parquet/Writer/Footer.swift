import FeatureCore

/// A row group that has been written.
struct RowGroupSummary {
  var rowCount: Int
  /// Where its first page is in the file.
  var offset: Int64
  var chunks: [ChunkSummary]
}

/// Writes `FileMetaData` of parquet.thrift.
struct FooterWriter {
  let columns: [ParquetColumn]
  let metadata: [(key: String, value: String)]
  let createdBy: String

  func bytes(_ groups: [RowGroupSummary]) -> [UInt8] {
    var thrift = ThriftWriter()
    thrift.element { file in
      file.int32(1, 2)
      file.structures(2, schema) { $1.write(to: &$0) }
      file.int64(3, groups.reduce(0) { $0 + Int64($1.rowCount) })
      file.structures(4, groups.enumerated().map { ($0, $1) }) { appendGroup(&$0, $1.0, $1.1) }
      if !metadata.isEmpty {
        file.structures(5, metadata) {
          $0.string(1, $1.key)
          $0.string(2, $1.value)
        }
      }
      file.string(6, createdBy)
      // ColumnOrder.TYPE_ORDER: without it min_value and max_value mean nothing.
      file.structures(7, columns) { order, _ in order.structure(1) { _ in } }
    }
    return thrift.bytes
  }

  private func appendGroup(_ thrift: inout ThriftWriter, _ ordinal: Int, _ group: RowGroupSummary) {
    var offset = group.offset
    thrift.structures(1, Array(zip(columns, group.chunks))) {
      appendChunk(&$0, $1.0, $1.1, at: offset)
      offset += Int64($1.1.compressedBytes)
    }
    thrift.int64(2, group.chunks.reduce(0) { $0 + Int64($1.uncompressedBytes) })
    thrift.int64(3, Int64(group.rowCount))
    thrift.int64(5, group.offset)
    thrift.int64(6, offset - group.offset)
    if let ordinal = Int16(exactly: ordinal) { thrift.int16(7, ordinal) }
  }

  private func appendChunk(
    _ thrift: inout ThriftWriter, _ column: ParquetColumn, _ chunk: ChunkSummary, at offset: Int64
  ) {
    // Deprecated, and 0 where the metadata are in the footer only.
    thrift.int64(2, 0)
    thrift.structure(3) { meta in
      let encoding = chunk.dictionaryPageOffset == nil ? Encoding.plain : .rleDictionary
      meta.int32(1, column.physicalType.rawValue)
      meta.int32s(2, Set([.plain, .rle, encoding]).map(\Encoding.rawValue).sorted())
      meta.strings(3, column.isList ? [column.name, "list", "element"] : [column.name])
      meta.int32(4, Codec.zstd.rawValue)
      meta.int64(5, Int64(chunk.valueCount))
      meta.int64(6, Int64(chunk.uncompressedBytes))
      meta.int64(7, Int64(chunk.compressedBytes))
      meta.int64(9, offset + Int64(chunk.dataPageOffset))
      if let dictionary = chunk.dictionaryPageOffset { meta.int64(11, offset + Int64(dictionary)) }
      meta.structure(12) { appendStatistics(&$0, chunk.statistics) }
      var pages = [(PageType.data, encoding, chunk.dataPageCount)]
      if chunk.dictionaryPageOffset != nil { pages.insert((.dictionary, .plain, 1), at: 0) }
      meta.structures(13, pages) {
        $0.int32(1, $1.0.rawValue)
        $0.int32(2, $1.1.rawValue)
        $0.int32(3, Int32($1.2))
      }
    }
  }

  private func appendStatistics(_ thrift: inout ThriftWriter, _ statistics: ChunkStatistics) {
    thrift.int64(3, Int64(statistics.nullCount))
    if let maximum = statistics.maximum { thrift.binary(5, maximum.bytes) }
    if let minimum = statistics.minimum { thrift.binary(6, minimum.bytes) }
    if let maximum = statistics.maximum { thrift.bool(7, maximum.isExact) }
    if let minimum = statistics.minimum { thrift.bool(8, minimum.isExact) }
  }

  /// Depth first, the root before all.
  private var schema: [SchemaNode] {
    let root = SchemaNode(name: "schema", repetition: nil, children: columns.count)
    return columns.reduce(into: [root]) { nodes, column in
      let repetition: Repetition = column.isRequired ? .required : .optional
      guard column.isList else {
        nodes.append(SchemaNode(name: column.name, repetition: repetition, column: column))
        return
      }
      nodes += [
        SchemaNode(name: column.name, repetition: repetition, children: 1, isList: true),
        SchemaNode(name: "list", repetition: .repeated, children: 1),
        SchemaNode(name: "element", repetition: .optional, column: column),
      ]
    }
  }
}

/// `SchemaElement`: a group with children, or a column's values.
private struct SchemaNode {
  var name: String
  /// nil for the root.
  var repetition: Repetition?
  var children: Int?
  var isList = false
  var column: ParquetColumn?

  func write(to thrift: inout ThriftWriter) {
    if let column { thrift.int32(1, column.physicalType.rawValue) }
    if let repetition { thrift.int32(3, repetition.rawValue) }
    thrift.string(4, name)
    if let children { thrift.int32(5, Int32(children)) }
    if isList {
      thrift.int32(6, ConvertedType.list)
      thrift.structure(10) { $0.structure(LogicalTypeField.list) { _ in } }
    }
    switch column?.valueType {
    case .string where column?.isBinary == true: break
    case .string:
      thrift.int32(6, ConvertedType.utf8)
      thrift.structure(10) { $0.structure(LogicalTypeField.string) { _ in } }
    case .timestamp:
      thrift.int32(6, ConvertedType.timestampMicroseconds)
      thrift.structure(10) {
        $0.structure(LogicalTypeField.timestamp) {
          $0.bool(1, true)
          // TimeUnit.MICROS
          $0.structure(2) { $0.structure(2) { _ in } }
        }
      }
    case .int64, .double, .bool, nil: break
    }
  }
}

extension ParquetColumn {
  /// How values are stored in files that we write.
  var physicalType: PhysicalType {
    switch valueType {
    case .string: .byteArray
    case .int64, .timestamp: .int64
    case .double: .double
    case .bool: .boolean
    }
  }
}
