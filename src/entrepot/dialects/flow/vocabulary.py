"""What samples are described with: types, organisms, attributes. Preloaded, as every Flow installation brings its own.

Identifiers are stable: they are stored with samples. Clients write a type as its name, or with `_` for `-`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from entrepot.dialects.flow.context import invalid
from entrepot.model.errors import NotFound

__all__ = [
    "ATTRIBUTES",
    "ORGANISMS",
    "TYPES",
    "Attribute",
    "Organism",
    "SampleType",
    "checked",
    "find_type",
    "organism",
    "require",
]


@dataclass(frozen=True, slots=True)
class SampleType:
    identifier: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Organism:
    id: str
    name: str
    latin_name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """
    Args:
        required_for: Types of samples that need it.
        types: Types of samples whose sheets have a column for it; none is all.
        options: The only values that it may have.
    """

    identifier: str
    name: str
    description: str
    required_for: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


TYPES: Final = (
    SampleType("generic", "Generic", "Files of any kind that belong together as one sample."),
    SampleType("rna-seq", "RNA-Seq", "Reads of RNA, one file or two of a pair."),
    SampleType("dna-seq", "DNA-Seq", "Reads of DNA: whole genomes, exomes, amplicons."),
    SampleType("chip-seq", "ChIP-Seq", "Reads of DNA that was bound by a protein, or of its control."),
)

ORGANISMS: Final = (
    Organism("9606", "Human", "Homo sapiens"),
    Organism("10090", "Mouse", "Mus musculus"),
    Organism("10116", "Rat", "Rattus norvegicus"),
    Organism("7955", "Zebrafish", "Danio rerio"),
    Organism("7227", "Fruit fly", "Drosophila melanogaster"),
    Organism("6239", "Nematode", "Caenorhabditis elegans"),
    Organism("4932", "Baker's yeast", "Saccharomyces cerevisiae"),
    Organism("4896", "Fission yeast", "Schizosaccharomyces pombe"),
    Organism("3702", "Thale cress", "Arabidopsis thaliana"),
    Organism("562", "Escherichia coli", "Escherichia coli"),
    Organism("2697049", "SARS-CoV-2", "Severe acute respiratory syndrome coronavirus 2"),
)

ATTRIBUTES: Final = (
    Attribute("source", "Source", "The tissue, cell line or organism that the sample was taken from."),
    Attribute("condition", "Condition", "What was done to it, such as a treatment or a genotype."),
    Attribute("replicate", "Replicate", "Which of several samples of the same condition it is."),
    Attribute("comments", "Comments", "Anything else that whoever reads this should know."),
    Attribute("scientist", "Scientist", "Who did the experiment."),
    Attribute("pubmed", "PubMed", "The number of the publication."),
    Attribute(
        "strandedness",
        "Strandedness",
        "Which strand the reads are of.",
        types=("rna-seq",),
        options=("unstranded", "forward", "reverse", "auto"),
    ),
    Attribute("rna_selection", "RNA selection", "How RNA was selected.", types=("rna-seq",)),
    Attribute("library_layout", "Library layout", "One file of reads or two.", options=("single", "paired")),
    Attribute(
        "purification_target",
        "Purification target",
        "The protein that was purified, or `input` for the control.",
        required_for=("chip-seq",),
        types=("chip-seq",),
    ),
    Attribute("purification_agent", "Purification agent", "The antibody or tag.", types=("chip-seq",)),
)


def find_type(text: str) -> SampleType:
    """The type of this identifier or name, however it is written.

    Raises:
        NotFound
    """
    plain = text.strip().lower().replace("_", "-").replace(" ", "-")
    for one in TYPES:
        if plain in (one.identifier, one.name.lower()):
            return one
    raise NotFound(f"There is no sample type {text[:60]!r}. There are {', '.join(one.identifier for one in TYPES)}.")


def organism(text: str) -> Organism | None:
    """The organism of this id, or of a name or the initials that people write (`Hs`)."""
    plain = text.strip().lower()
    for one in ORGANISMS:
        initials = "".join(word[0] for word in one.latin_name.lower().split())
        if plain in (one.id, one.name.lower(), one.latin_name.lower(), initials if len(initials) == 2 else one.id):
            return one
    return None


def checked(sample_type: SampleType, metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong with a sample's metadata, by attribute."""
    wrong: dict[str, list[str]] = {}
    for one in ATTRIBUTES:
        value = metadata.get(one.identifier)
        if value in (None, ""):
            if sample_type.identifier in one.required_for:
                wrong[one.identifier] = [f"This field is required for samples of type {sample_type.identifier}."]
        elif one.options and value not in one.options:
            wrong[one.identifier] = [f"{str(value)[:60]!r} is none of {', '.join(one.options)}."]
    return wrong


def require(sample_type: SampleType, metadata: Mapping[str, Any]) -> None:
    """
    Raises:
        Invalid: Something is missing, or has a value that it cannot have.
    """
    if wrong := checked(sample_type, metadata):
        raise invalid(wrong)
