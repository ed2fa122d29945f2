"""The types that come with the program. Lab formats first: nobody else's table knows them."""

from __future__ import annotations

from typing import Final

from entrepot.model.data_types import DataType

__all__ = ["BUILTIN"]


def _text(identifier: str, name: str, description: str, suffixes: str, media_type: str | None = None) -> DataType:
    return DataType(identifier, name, description, tuple(suffixes.split()), media_type, is_text=True)


def _binary(identifier: str, name: str, description: str, suffixes: str, media_type: str | None = None) -> DataType:
    return DataType(identifier, name, description, tuple(suffixes.split()), media_type)


BUILTIN: Final[tuple[DataType, ...]] = (
    # Sequences
    _text("fastq", "FASTQ", "Sequencing reads with a quality for every base.", "fastq fq"),
    _text("fasta", "FASTA", "Sequences of nucleotides or amino acids.", "fasta fa fna faa ffn frn fas mpfa"),
    _text("sam", "SAM", "Alignments of reads, as text.", "sam"),
    _binary("bam", "BAM", "Alignments of reads, compressed.", "bam"),
    _binary("cram", "CRAM", "Alignments of reads, compressed against a reference.", "cram"),
    # Variants and annotation
    _text("vcf", "VCF", "Variants of genotypes, as text.", "vcf"),
    _binary("bcf", "BCF", "Variants of genotypes, compressed.", "bcf"),
    _text("gff", "GFF3", "Features of a genome.", "gff gff3"),
    _text("gtf", "GTF", "Genes and transcripts of a genome.", "gtf gff2"),
    _text("bed", "BED", "Intervals of a genome.", "bed bed3 bed4 bed5 bed6 bed9 bed12 narrowpeak broadpeak bedgraph"),
    _binary("bigwig", "bigWig", "A signal along a genome, indexed.", "bigwig bw"),
    # Tables, records, arrays
    _text("csv", "CSV", "A table with commas or semicolons between its values.", "csv", "text/csv"),
    _text("tsv", "TSV", "A table with tabs between its values.", "tsv tab", "text/tab-separated-values"),
    _text("ndjson", "NDJSON", "One JSON value on each line.", "ndjson jsonl", "application/x-ndjson"),
    _text("json", "JSON", "One JSON value.", "json geojson", "application/json"),
    _binary("parquet", "Parquet", "A table in columns.", "parquet pq", "application/vnd.apache.parquet"),
    _binary(
        "arrow",
        "Arrow",
        "A table in memory format, as file or stream.",
        "arrow feather",
        "application/vnd.apache.arrow.file",
    ),
    _binary("h5", "HDF5", "Arrays and groups in one file.", "h5 hdf5 hdf he5 loom", "application/x-hdf5"),
    _binary(
        "anndata", "AnnData", "A matrix of cells and genes with annotations, in HDF5.", "h5ad", "application/x-hdf5"
    ),
    _binary("zarr", "Zarr", "Arrays in chunks: metadata files of a folder, or all of it in a zip.", "zarr zarr.zip"),
    _binary("netcdf", "NetCDF", "Arrays with named dimensions.", "nc nc4 cdf netcdf", "application/x-netcdf"),
    _binary("npy", "NumPy array", "One array.", "npy"),
    _text("mtx", "Matrix Market", "A sparse or dense matrix, as text.", "mtx mm"),
    # Images
    _binary("tiff", "TIFF", "Images, also of many pages.", "tif tiff btf tf8", "image/tiff"),
    _binary(
        "ome-tiff",
        "OME-TIFF",
        "Images of a microscope with their OME metadata.",
        "ome.tif ome.tiff ome.btf",
        "image/tiff",
    ),
    _binary("png", "PNG", "An image, compressed without loss.", "png", "image/png"),
    _binary("jpeg", "JPEG", "A photograph.", "jpg jpeg jpe jfif", "image/jpeg"),
    _binary("dicom", "DICOM", "Medical images with their metadata.", "dcm dicom", "application/dicom"),
    _binary("nifti", "NIfTI", "Volumes of brain imaging.", "nii hdr img"),
    # Documents and archives
    _binary("pdf", "PDF", "A document for reading and printing.", "pdf", "application/pdf"),
    _text("text", "Text", "Plain text.", "txt text md log rst", "text/plain"),
    _binary("zip", "ZIP archive", "Files in an archive.", "zip", "application/zip"),
    _binary("tar", "tar archive", "Files in an archive.", "tar tgz", "application/x-tar"),
    _binary("gzip", "gzip", "Something compressed that is not recognised.", "gz bgz bgzf", "application/gzip"),
)
